// What the host needs of this header is in cuda_on_host.h, which comes before any kernel.
