"""One pager for every list AWS cuts into pages."""

from .errors import AwsError
from .world import WORLD


def page(items, token, asked, most, bad_token=("InvalidParameterException", "Invalid token")):
    """(the items of this page, the token of the next or None).

    `page_size` of the settings makes pages small enough for a small fleet to need several.
    """
    try:
        start = int(token) if token else 0
    except ValueError:
        raise AwsError(*bad_token) from None
    size = min(asked or most, most, WORLD.settings["page_size"] or most)
    end = start + size
    return items[start:end], (str(end) if end < len(items) else None)
