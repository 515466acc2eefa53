"""DynamoDB: batches as large as AWS takes them, no item twice in one, keys compared as keys.

What moto has right stays: conditional writes, transactions, queries. It forgets no expired item,
and AWS deletes one only within a few days, so a reader has to look at the date itself:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import json

from boto3.dynamodb.types import TypeDeserializer
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.responses import DynamoHandler

from .. import backends
from ..errors import AwsError
from ..patching import replaces

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
MOST_WRITES = 25  # belief: dynamodb-batches

_moto_batch_write_item = DynamoHandler.batch_write_item


@replaces(DynamoHandler)
def batch_write_item(self):
    writes = [
        (name, write)
        for name, requests in self.body["RequestItems"].items()
        for request in requests
        for write in request.values()
    ]
    if not 1 <= len(writes) <= MOST_WRITES:
        raise MockValidationException(
            "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
            f"Map value must satisfy constraint: [Member must have length less than or equal to "
            f"{MOST_WRITES}, Member must have length greater than or equal to 1]"
        )
    # moto compares whole items; AWS refuses two writes of one key, whatever they write.
    keys = [(name, key_of(name, write.get("Key") or write["Item"])) for name, write in writes]
    if len(set(keys)) < len(keys):
        raise MockValidationException("Provided list of item keys contains duplicates")
    return _moto_batch_write_item(self)


def key_of(table_name, item):
    """The key of an item, as text."""
    table = backends.dynamodb().get_table(table_name)
    names = [part["AttributeName"] for part in table.schema]
    if not all(name in item for name in names):
        raise AwsError(
            "com.amazonaws.dynamodb.v20120810#ValidationException",
            "The provided key element does not match the schema",
        )
    return json.dumps([item[name] for name in names], sort_keys=True)


def items_of(table):
    """Every item as plain values, for the state snapshot."""
    read = TypeDeserializer().deserialize
    return [
        {name: _plain(read(value)) for name, value in item.to_json()["Attributes"].items()}
        for item in table.all_items()
    ]


def _plain(value):
    """JSON has neither sets nor exact decimals."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(one) for one in value)
    if hasattr(value, "as_integer_ratio"):
        return int(value) if value == int(value) else float(value)
    return value if isinstance(value, (str, bool, type(None))) else repr(value)
