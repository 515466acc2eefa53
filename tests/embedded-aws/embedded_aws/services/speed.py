"""moto's serializer, with a shortcut for plain dictionaries.

For every member of every structure, moto tries four spellings of the name on whatever object it
has, with four helper objects. A description of a hundred tasks consists mostly of dictionaries
whose keys are spelled as in the API. They take most of the time of such an answer.
"""

from botocore import xform_name
from moto.core.serialize import ResponseSerializer

from ..patching import replaces

_moto_get_value = ResponseSerializer.get_value


@replaces(ResponseSerializer)
def get_value(self, value, key, shape):
    if type(value) is not dict or key in _transformed(self):
        return _moto_get_value(self, value, key, shape)
    found = value.get(key)
    return value.get(xform_name(key)) if found is None else found


def _transformed(serializer):
    """The names of members that moto changes before it writes them."""
    if not hasattr(serializer, "transformed"):
        paths = getattr(serializer._value_picker, "response_transformers", None) or {}
        serializer.transformed = {path.rsplit(".", 1)[-1] for path in paths}
    return serializer.transformed
