"""ClickHouse's errors: code, name, text, and the HTTP status a server answers with."""

from __future__ import annotations

import re

UNKNOWN_FORMAT = (73, "UNKNOWN_FORMAT")
NOT_IMPLEMENTED = (48, "NOT_IMPLEMENTED")
BAD_ARGUMENTS = (36, "BAD_ARGUMENTS")
SYNTAX_ERROR = (62, "SYNTAX_ERROR")
UNKNOWN_COMPRESSION_METHOD = (89, "UNKNOWN_COMPRESSION_METHOD")
CANNOT_DECOMPRESS = (271, "CANNOT_DECOMPRESS")
CANNOT_READ_ALL_DATA = (33, "CANNOT_READ_ALL_DATA")
CHECKSUM_DOESNT_MATCH = (40, "CHECKSUM_DOESNT_MATCH")
TOO_LARGE_SIZE_COMPRESSED = (129, "TOO_LARGE_SIZE_COMPRESSED")
READONLY = (164, "READONLY")
REQUIRED_PASSWORD = (194, "REQUIRED_PASSWORD")
AUTHENTICATION_FAILED = (516, "AUTHENTICATION_FAILED")
QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = (216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING")
HTTP_LENGTH_REQUIRED = (381, "HTTP_LENGTH_REQUIRED")
SESSION_NOT_FOUND = (372, "SESSION_NOT_FOUND")
SESSION_IS_LOCKED = (373, "SESSION_IS_LOCKED")
INVALID_SESSION_TIMEOUT = (374, "INVALID_SESSION_TIMEOUT")
INTO_OUTFILE_NOT_ALLOWED = (358, "INTO_OUTFILE_NOT_ALLOWED")
UNKNOWN_EXCEPTION = (1002, "UNKNOWN_EXCEPTION")

# The table of src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; every other code is 500.
_CODES_BY_STATUS = {
    # the query is wrong: BAD_ARGUMENTS, CANNOT_PARSE_*, SYNTAX_ERROR, TYPE_MISMATCH and their kin
    400: (
        *(6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376),
        *(427, 441, 675, 676),
    ),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    # the query names what is not there: UNKNOWN_*
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 209, 439),
}
_STATUS_BY_CODE = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes}

_ENGINE_TEXT = re.compile(r"Code: (\d+)\. (DB::[\w:]*Exception: .*)", re.DOTALL)
_VERSION_NOTE = re.compile(r" \(version [\d.]+\)")
# Some errors come wrapped: "Code: 27. DB::Exception: Code: 27. DB::…: text. (NAME). (NAME)".
_WRAPPED = re.compile(r"DB::Exception: Code: \d+\. (DB::.*)\. \([A-Z_\d]+\)", re.DOTALL)
# Rows of a request reach the engine as a file, which no client has heard of.
_ROWS_AS_FILE = re.compile(
    r": \(in file/uri /dev/fd/\d+\)|: While executing File(?=: data for INSERT)"
    r"|: data for INSERT was parsed from file"
)


class ClickHouseError(Exception):
    """An error as a ClickHouse server reports it.

    Args:
        code: ClickHouse's number of the error, sent as ``X-ClickHouse-Exception-Code``.
        text: The message without the leading ``Code: N.``, with the error's name at its end.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"Code: {code}. {text}")
        self.code = code
        self.text = text

    @classmethod
    def of(cls, error: tuple[int, str], message: str) -> ClickHouseError:
        """Build an error that this adapter raises itself, in the engine's wording."""
        code, name = error
        return cls(code, f"DB::Exception: {message} ({name})")

    @classmethod
    def from_engine(cls, error: BaseException) -> ClickHouseError:
        """Read code and text out of an exception raised by chDB."""
        raw = str(error)
        match = _ENGINE_TEXT.search(raw)
        if match is None:
            return cls.of(UNKNOWN_EXCEPTION, raw)
        text = _VERSION_NOTE.sub("", match[2]).strip()
        while (wrapped := _WRAPPED.fullmatch(text)) is not None:
            text = wrapped[1]
        return cls(int(match[1]), _ROWS_AS_FILE.sub("", text))

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse answers this error with."""
        return _STATUS_BY_CODE.get(self.code, 500)

    def body(self, version: str) -> str:
        """The text of the response, ending in the version like a server's."""
        return f"Code: {self.code}. {self.text} (version {version})\n"
