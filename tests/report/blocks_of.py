"""What a page has, found in its blocks."""

from verl_ext.report.page_blocks import DataTable, Fold


def tables_of(page):
    found = {}

    def look(blocks):
        for block in blocks:
            if isinstance(block, Fold):
                look(block.blocks)
            elif isinstance(block, DataTable):
                found[block.name] = block

    look(page.blocks)
    return found


def texts(row):
    return [cell if isinstance(cell, str) else f"{cell.text} {cell.below}".strip() for cell in row]
