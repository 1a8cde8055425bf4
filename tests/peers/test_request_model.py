"""The table that the sandbox checks requests by is what the pinned botocore says."""

import request_model


def test_the_table_is_botocores():
    assert request_model.TABLE.read_text() == request_model.text()
