"""Markdown: write tables, and replace the generated parts of a page."""

import re
from collections.abc import Container, Iterable


def table(header: Iterable[str], rows: Iterable[Iterable[object]], right: Container[int] = ()) -> str:
    """Write a table in Markdown.

    Columns are not padded, so one longer cell changes only one line of a page.

    Args:
        header: The name of each column.
        rows: The cells of each row, one for each column.
        right: Indexes of the columns to align right, such as numbers.

    Returns:
        The lines of the table, without a line break at the end.

    >>> print(table(("name", "count"), [("a", 1)], right=(1,)))
    | name | count |
    | --- | ---: |
    | a | 1 |
    """
    names = list(header)
    rules = ["---:" if index in right else "---" for index in range(len(names))]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (names, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (cells[0], rules, *cells[1:]))


def replace_part(page: str, part: str, text: str) -> str:
    """Replace the text between two marks of a page.

    Args:
        page: The page. The marks of the part `x` are the lines `<!-- x … -->` and `<!-- end of the x -->`.
        part: The name of the part.
        text: The new content, without line breaks at its ends.

    Returns:
        The page with the new content.

    Raises:
        ValueError: The page lacks a mark, or the marks are in the wrong order.
    """
    start = re.search(rf"^<!-- {re.escape(part)}\b.*-->\n", page, re.MULTILINE)
    end = page.find(f"<!-- end of the {part} -->", start.end()) if start else -1
    if start is None or end < 0:
        raise ValueError(f"the page has no marks of the part {part!r}, or has them in the wrong order")
    return f"{page[: start.end()]}\n{text}\n\n{page[end:]}"
