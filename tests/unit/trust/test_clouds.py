# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

CODE = """
import sys
import modelseal.trust
import sigstore.models
heavy = {"boto3", "google.cloud.kms", "azure.identity", "hvac"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
import boto3  # others import what they like
from modelseal.trust.kms import _library
from securesystemslib.signer import _aws_signer as before
library = _library("awskms")
from securesystemslib.signer import _aws_signer, _azure_signer, _gcp_signer
assert _aws_signer.AWS_IMPORT_ERROR is None
assert _gcp_signer.GCP_IMPORT_ERROR is None
assert _azure_signer.AZURE_IMPORT_ERROR is None
assert before.AWS_IMPORT_ERROR
"""


def test_sigstore_imports_no_cloud_and_keys_there_still_work() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
