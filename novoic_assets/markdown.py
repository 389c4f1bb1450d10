"""Tables in Markdown, and the parts of a page that are generated."""

import re
from collections.abc import Container, Iterable


def table(header: Iterable[str], rows: Iterable[Iterable[object]], right: Container[int] = ()) -> str:
    """A table in Markdown. Its columns are not padded, so that one longer cell changes one line of a page.

    Args:
        header: A name for each column.
        rows: A cell for each column.
        right: Indexes of the columns that are aligned to the right, as numbers are.

    Returns:
        The lines of the table, without a line break at the end.
    """
    names = list(header)
    rules = ["---:" if index in right else "---" for index in range(len(names))]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (names, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (cells[0], rules, *cells[1:]))


def replace_part(page: str, part: str, text: str) -> str:
    """Put a text in the place of what is between two marks of a page.

    Args:
        page: The page. The marks of the part `x` are the lines `<!-- x … -->` and `<!-- end of the x -->`.
        part: The part's name.
        text: The new content, without line breaks at its ends.

    Returns:
        The page with the new content.

    Raises:
        ValueError: The page has not both marks, in this order.
    """
    start = re.search(rf"^<!-- {re.escape(part)}\b.*-->\n", page, re.MULTILINE)
    end = page.find(f"<!-- end of the {part} -->", start.end()) if start else -1
    if start is None or end < 0:
        raise ValueError("the page has no marks")
    return f"{page[: start.end()]}\n{text}\n\n{page[end:]}"
