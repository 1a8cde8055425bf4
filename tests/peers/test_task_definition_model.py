"""The table that task definitions are judged by is what the pinned botocore says."""

import task_definition_model


def test_the_table_is_botocores():
    assert task_definition_model.TABLE.read_text() == task_definition_model.text()
