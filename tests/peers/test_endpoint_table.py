"""src/aws/endpoints.json is what botocore's rules say."""

import endpoint_table


def test_the_table_is_what_botocore_says():
    assert endpoint_table.TABLE.read_text() == endpoint_table.text()
