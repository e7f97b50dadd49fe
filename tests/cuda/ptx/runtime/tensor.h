/* mma, wmma, ldmatrix and cp.async.  Products are exact, sums are in float64 and rounded once: hardware adds
 * in an order and with a number of bits that are not documented, so a test must not rest on the last bits. */
static f32 half_value(u32 pair, int high) { return (f32)BITS(f16, (u16)(high ? pair >> 16 : pair)); }
static f32 bfloat_value(u32 pair, int high) { return BITS(f32, high ? pair & 0xffff0000u : pair << 16); }
static f32 tf32_value(u32 bits) { return BITS(f32, bits & 0xffffe000u); }
enum { OF_F16, OF_BF16, OF_TF32 };

/* D = A·B + C; A is 16 × depth, B depth × 8: the fragments of the PTX manual (mma.m16n8k8, k16, k4).
 * in: 0… A, 8… B, 16… C (float32, or two registers of pairs); kind: depth · 16 + type · 2 + (C in half) */
static f32 a_value(Thread *warp, int type, int row, int k) {
  if (type == OF_TF32) return tf32_value(warp[(row & 7) * 4 + (k & 3)].in[(row >> 3) + 2 * (k >> 2)]);
  u32 pair = warp[(row & 7) * 4 + ((k & 7) >> 1)].in[(row >> 3) + 2 * (k >> 3)];
  return type == OF_BF16 ? bfloat_value(pair, k & 1) : half_value(pair, k & 1);
}
static f32 b_value(Thread *warp, int type, int k, int column) {
  if (type == OF_TF32) return tf32_value(warp[column * 4 + (k & 3)].in[8 + (k >> 2)]);
  u32 pair = warp[column * 4 + ((k & 7) >> 1)].in[8 + (k >> 3)];
  return type == OF_BF16 ? bfloat_value(pair, k & 1) : half_value(pair, k & 1);
}
static void multiply_tiles(Thread *warp, u32 mask) {
  int kind = warp->kind, depth = kind >> 4, type = kind >> 1 & 7, in_half = kind & 1;
  for (int lane = 0; lane < 32; lane++) {
    Thread *t = warp + lane;
    for (int e = 0; e < 4; e++) {
      int row = (lane >> 2) + (e >> 1) * 8, column = (lane & 3) * 2 + (e & 1);
      f64 sum = in_half ? half_value(t->in[16 + (e >> 1)], e & 1) : BITS(f32, (u32)t->in[16 + e]);
      for (int k = 0; k < depth; k++) sum += (f64)a_value(warp, type, row, k) * b_value(warp, type, k, column);
      if (in_half) {
        u32 half = BITS(u16, (f16)(f32)sum), old = e & 1 ? (u32)t->out[e >> 1] : 0;
        t->out[e >> 1] = e & 1 ? old | half << 16 : half;
      } else t->out[e] = BITS(u32, (f32)sum);
    }
  }
  (void)mask;
#ifdef CHECKED
  matrix_operations += 2ull * 16 * 8 * depth;
#endif
}
/* in[0]: address of a row of eight halves; kind: matrices · 2 + transposed */
static void load_matrices(Thread *warp, u32 mask) {
  int count = warp->kind >> 1, transposed = warp->kind & 1;
  u16 rows[32][8];
  (void)mask;
  for (int r = 0; r < 8 * count; r++) {
    self = warp + r;
    memcpy(rows[r], shared_at(self->in[0], 16, READ, self->line), 16);
  }
  for (int lane = 0; lane < 32; lane++)
    for (int m = 0; m < count; m++) {
      u32 pair = 0;
      for (int e = 0; e < 2; e++) {
        int row = transposed ? 2 * (lane & 3) + e : lane >> 2, column = transposed ? lane >> 2 : 2 * (lane & 3) + e;
        pair |= (u32)rows[m * 8 + row][column] << 16 * e;
      }
      warp[lane].out[m] = pair;
    }
}
/* wmma: which lane holds what is not specified, so here lane l holds numbers l·n … l·n + n − 1 of the tile,
 * rows first.  in: 0… A, 8… B, 16… C; kind: rows · 65536 + columns · 256 + (C in half) · 2 + (D in half) */
static f64 fragment_value(Thread *warp, int base, int numbers, int index, int in_half) {
  Thread *t = warp + index / numbers;
  int e = index % numbers;
  return in_half ? half_value(t->in[base + e / 2], e & 1) : BITS(f32, (u32)t->in[base + e]);
}
static void multiply_fragments(Thread *warp, u32 mask) {
  int kind = warp->kind, rows = kind >> 16, columns = kind >> 8 & 255, c_half = kind >> 1 & 1, d_half = kind & 1;
  (void)mask;
  for (int lane = 0; lane < 32; lane++)
    for (int e = 0; e < 8; e++) {
      int index = lane * 8 + e, row = index / columns, column = index % columns;
      f64 sum = fragment_value(warp, 16, 8, index, c_half);
      for (int k = 0; k < 16; k++)
        sum += fragment_value(warp, 0, rows / 2, row * 16 + k, 1) * fragment_value(warp, 8, columns / 2, k * columns + column, 1);
      if (d_half) {
        u32 half = BITS(u16, (f16)(f32)sum);
        warp[lane].out[e / 2] = e & 1 ? (u32)warp[lane].out[e / 2] | half << 16 : half;
      } else warp[lane].out[e] = BITS(u32, (f32)sum);
    }
#ifdef CHECKED
  matrix_operations += 2ull * rows * columns * 16;
#endif
}

/* A copy happens as late as it may: when it is waited for.  Until then its target is as it was. */
static void copy_later(u64 to, u64 from, u32 bytes, u32 filled, int line, Range **site) {
  if (self->copy_count == MAX_COPIES) fault(COPY, self, line, "more than %d copies wait", MAX_COPIES);
  if (filled > bytes) fault(COPY, self, line, "cp.async of %u bytes with a source of %u", bytes, filled);
  shared_at(to, bytes, WRITE, line);
#ifdef CHECKED
  for (u32 i = 0; i < bytes; i++) shared_cells[to - BASE + i].write.thread = 0;  /* not there yet */
#endif
  if (from & (bytes - 1)) misaligned("global", from, bytes, READ, line);
  if (filled && !(from >= (*site)->low && from + filled <= (*site)->high)) *site = find_range(from, filled, READ, line);
  self->copies[self->copy_count++] = (Copy){to, from, bytes, filled, self->copy_group, line};
}
static void finish_copies(u32 unfinished_groups) {
  u32 kept = 0;
  Range *site = &nowhere;
  for (u32 i = 0; i < self->copy_count; i++) {
    Copy copy = self->copies[i];
    if (copy.group + unfinished_groups >= self->copy_group) { self->copies[kept++] = copy; continue; }
    u8 *target = shared_at(copy.to, copy.bytes, WRITE, copy.line);
    memset(target, 0, copy.bytes);
    for (u32 b = 0, part; b < copy.filled; b += part) {
      part = copy.filled - b < 4 ? 1 : 4;
      memcpy(target + b, global_at(copy.from + b, part, READ, copy.line, &site), part);
    }
  }
  self->copy_count = kept;
}
static void finish_all_copies(void) { self->copy_group++; finish_copies(0); }
