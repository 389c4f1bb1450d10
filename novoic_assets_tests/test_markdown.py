"""Generated Markdown: tables, and parts of a page between two marks."""

import pytest

from novoic_assets import markdown

PAGE = "Before.\n\n<!-- words: generated -->\n\nold\n\n<!-- end of the words -->\n\nAfter.\n"


def test_a_table_has_a_line_for_each_row() -> None:
    assert markdown.table(("name", "count"), [("a", 1), ("b|c", 20)], right=(1,)) == (
        "| name | count |\n| --- | ---: |\n| a | 1 |\n| b\\|c | 20 |"
    )


def test_a_table_without_rows_is_its_header() -> None:
    assert markdown.table(["name"], []) == "| name |\n| --- |"


def test_what_is_between_the_marks_is_replaced_and_nothing_else() -> None:
    changed = markdown.replace_part(PAGE, "words", "new")
    assert changed == PAGE.replace("old", "new")
    assert markdown.replace_part(changed, "words", "new") == changed


def test_each_part_has_marks_of_its_own() -> None:
    page = PAGE + PAGE.replace("words", "S3 words")
    assert markdown.replace_part(page, "S3 words", "new") == PAGE + PAGE.replace("words", "S3 words").replace(
        "old", "new"
    )
    assert markdown.replace_part(page, "words", "new") == PAGE.replace("old", "new") + PAGE.replace("words", "S3 words")


@pytest.mark.parametrize(
    "page", ["", "no marks", "<!-- words -->\nno end", "<!-- end of the words -->\n<!-- words -->\nno end", "no start"]
)
def test_a_page_without_the_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        markdown.replace_part(page, "words", "new")
