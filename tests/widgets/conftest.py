import pytest


@pytest.fixture
def displayed(monkeypatch) -> list:
    """Everything that is displayed in the test."""
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda output, **options: outputs.append(output))
    return outputs
