"""Reads an SPDX document and an in-toto statement with the tools of their own projects."""

import json
import sys

from in_toto_attestation.v1.statement import Statement
from google.protobuf.json_format import ParseDict
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

bill, statement = sys.argv[1:]
problems = validate_full_spdx_document(parse_file(bill), "SPDX-2.3")
for problem in problems:
    print(problem.validation_message)
with open(statement, encoding="utf-8") as file:
    message = ParseDict(json.load(file), Message())
Statement.copy_from_pb(message).validate()
sys.exit(bool(problems))
