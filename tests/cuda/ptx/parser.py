"""PTX text → Module: a recursive descent over what NVRTC emits; all else is a hard error."""

import re
from dataclasses import dataclass

from .errors import NotUnderstood
from .syntax import (
    SIZES,
    Address,
    Block,
    Function,
    Group,
    Instruction,
    Label,
    Module,
    Name,
    Number,
    Pair,
    Source,
    Targets,
    Variable,
)

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|//[^\n]*|/\*.*?\*/) | (?P<newline>\n) | (?P<string>"[^"\n]*")
    | (?P<number>0[fF][0-9a-fA-F]{8} | 0[dD][0-9a-fA-F]{16}
        | -?0[xX][0-9a-fA-F]+U? | -?\d+(?:\.\d+)?U?)
    | (?P<word>[.%$_A-Za-z][\w$]*(?:(?:::|\.)[\w$]+)*) | (?P<mark>[][{}(),;:@!|+=<>])""",
    re.X | re.S,
)
_LINKAGE = (".visible", ".extern", ".weak", ".common")
_SPACES = (".global", ".const", ".shared", ".local", ".param", ".reg")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str) -> list[_Token]:
    found, at, line = [], 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotUnderstood(f"PTX line {line}: {text[at : at + 40]!r} is no token")
        if match.lastgroup not in ("space", "newline"):
            found.append(_Token(str(match.lastgroup), match[0], line))
        line += match[0].count("\n")
        at = match.end()
    return [*found, _Token("end", "", line)]


def parse(text: str) -> Module:
    """The module that a PTX text describes.

    Raises NotUnderstood for a directive or a statement that is not known.
    """
    return _Parser(text).module()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens, self._at, self._source = _tokens(text), 0, Source()

    # Tokens

    def _peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _next(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        if self._peek().text != text:
            return False
        self._at += 1
        return True

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(f"{text!r} is needed")

    def _word(self) -> str:
        token = self._next()
        if token.kind != "word":
            self._at -= 1
            raise self._wrong("a name is needed")
        return token.text

    def _integer(self) -> int:
        token = self._next()
        if token.kind != "number":
            self._at -= 1
            raise self._wrong("a number is needed")
        return int(token.text.rstrip("U"), 0)

    def _wrong(self, what: str) -> NotUnderstood:
        token = self._peek()
        return NotUnderstood(f"PTX line {token.line}: {what}, not {token.text!r}")

    # The module

    def module(self) -> Module:
        module = Module()
        while self._peek().kind != "end":
            self._top(module)
        return module

    def _top(self, module: Module) -> None:
        if self._take(".version"):
            self._next()
        elif self._take(".target"):
            module.target = self._word()
        elif self._take(".address_size"):
            if self._integer() != 64:
                raise self._wrong("addresses of 64 bits are needed")
        elif self._take(".file"):
            number = self._integer()
            module.files[number] = self._next().text.strip('"')
            while self._take(","):
                self._integer()
        elif self._take(".section"):  # debugging information of -lineinfo
            self._word()
            self._skip_braces()
        else:
            self._definition(module)

    def _skip_braces(self) -> None:
        self._need("{")
        depth = 1
        while depth:
            token = self._next()
            depth += {"{": 1, "}": -1}.get(token.text, 0)
            if token.kind == "end":
                raise self._wrong("'}' is needed")

    def _definition(self, module: Module) -> None:
        while self._peek().text in _LINKAGE:
            self._next()
        if self._peek().text in (".entry", ".func"):
            module.functions.append(self._function())
        elif self._peek().text in (".global", ".const", ".shared"):
            module.variables.append(self._variable())
            self._need(";")
        else:
            raise self._wrong("a function or a variable is needed")

    def _function(self) -> Function:
        line = self._peek().line
        is_entry = self._next().text == ".entry"
        results = self._parameters() if self._peek().text == "(" else []
        name = self._word()
        parameters = self._parameters() if self._peek().text == "(" else []
        function = Function(name, is_entry, results, parameters, None, line=line)
        while self._peek().text not in ("{", ";"):
            self._performance_directive(function)
        if not self._take(";"):
            function.body = self._block()
        return function

    def _performance_directive(self, function: Function) -> None:
        if self._take(".maxntid"):
            function.max_threads = self._integers()
        elif self._take(".reqntid"):
            function.required_threads = self._integers()
        elif self._take(".minnctapersm") or self._take(".maxnreg"):
            self._integer()
        elif not self._take(".noreturn"):
            raise self._wrong("a directive of a function is needed")

    def _integers(self) -> tuple[int, ...]:
        numbers = [self._integer()]
        while self._take(","):
            numbers.append(self._integer())
        return tuple(numbers)

    def _parameters(self) -> list[Variable]:
        self._need("(")
        found = []
        while not self._take(")"):
            found.append(self._variable())
            self._take(",")
        return found

    def _variable(self) -> Variable:
        line, space = self._peek().line, self._word()
        if space not in _SPACES:
            raise self._wrong(f"a space is needed before this, not {space!r}")
        align = self._integer() if self._take(".align") else 0
        kind = self._word()[1:]
        if kind not in SIZES:
            raise NotUnderstood(f"PTX line {line}: .{kind} is not a known type")
        while self._take(".ptr"):  # what a parameter points to: for optimisers only
            while self._peek().text.startswith("."):
                if self._word() == ".align":
                    self._integer()
        variable = Variable(space[1:], kind, self._word(), align=align, line=line)
        self._dimensions(variable)
        if self._take("="):
            variable.initial = self._initial()
        return variable

    def _dimensions(self, variable: Variable) -> None:
        while self._take("["):
            if self._take("]"):
                variable.unsized = True
                continue
            variable.count = (1 if variable.count is None else variable.count) * self._integer()
            self._need("]")

    def _initial(self) -> list[int]:
        if not self._take("{"):
            return [self._literal().value]
        found: list[int] = []
        while not self._take("}"):
            found += self._initial()
            self._take(",")
        return found

    # Statements

    def _block(self) -> Block:
        self._need("{")
        statements: list = []
        while not self._take("}"):
            statements += self._statement()
        return Block(statements)

    def _statement(self) -> list:
        token = self._peek()
        if token.text == "{":
            return [self._block()]
        if self._take(";"):
            return []
        if token.text in (".reg", ".local", ".shared", ".param"):
            return self._declaration()
        if self._take(".loc"):
            self._location()
            return []
        if self._take(".pragma"):
            self._next()
            self._need(";")
            return []
        if token.kind == "word" and self._peek(1).text == ":":
            return [self._label()]
        return [self._instruction()]

    def _location(self) -> None:
        numbers = [self._integer() for _ in range(3)]
        self._source = Source(numbers[0], numbers[1])
        if self._take(","):
            while self._peek().text in ("function_name", "inlined_at", ",", "+"):
                self._next()
                while self._peek().kind in ("number",) or self._peek().text.startswith("$"):
                    self._next()

    def _declaration(self) -> list[Variable]:
        first = self._variable()
        found = [first]
        if self._take("<"):
            count = self._integer()
            self._need(">")
            stem = first.name
            found = [Variable(first.space, first.type, f"{stem}{k}") for k in range(count)]
        while self._take(","):
            found.append(Variable(first.space, first.type, self._word()))
        self._need(";")
        return found

    def _label(self) -> Label | Targets:
        line, name = self._peek().line, self._word()
        self._need(":")
        if not self._take(".branchtargets"):
            return Label(name, line)
        labels = [self._word()]
        while self._take(","):
            labels.append(self._word())
        self._need(";")
        return Targets(name, labels)

    def _instruction(self) -> Instruction:
        guard = None
        if self._take("@"):
            negated = self._take("!")
            guard = Name(self._word(), negated)
        line, opcode = self._peek().line, self._word()
        if opcode.startswith((".", "%")):
            raise NotUnderstood(f"PTX line {line}: {opcode} is not a known directive")
        operands = []
        while not self._take(";"):
            operands.append(self._operand())
            if self._peek().text != ";":
                self._need(",")
        return Instruction(opcode, operands, line, guard, self._source)

    def _operand(self) -> Name | Number | Address | Group | Pair:
        if self._take("["):
            return self._address()
        if self._peek().text in ("{", "("):
            return self._group({"{": "}", "(": ")"}[self._next().text])
        if self._take("!"):
            return Name(self._word(), negated=True)
        if self._peek().kind == "number":
            return self._literal()
        name = Name(self._word())
        if self._take("|"):
            return Pair(name, Name(self._word()))
        return name

    def _address(self) -> Address:
        base = self._literal() if self._peek().kind == "number" else Name(self._word())
        offset = self._integer() if self._take("+") else 0
        self._need("]")
        return Address(base, offset)

    def _group(self, end: str) -> Group:
        members = []
        while not self._take(end):
            members.append(self._operand())
            self._take(",")
        return Group(tuple(members))

    def _literal(self) -> Number:
        text = self._next().text
        if text[:2] in ("0f", "0F"):
            return Number(int(text[2:], 16), "f32")
        if text[:2] in ("0d", "0D"):
            return Number(int(text[2:], 16), "f64")
        if "." in text:
            raise NotUnderstood(f"PTX line {self._peek().line}: {text} is not in hexadecimal form")
        return Number(int(text.rstrip("U"), 0))
