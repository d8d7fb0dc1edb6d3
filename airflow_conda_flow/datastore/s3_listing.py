"""Listings of keys in S3, for all servers that implement its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .s3_errors import MISSING_KEY, answer_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = 1000
"""Number of keys in one answer; S3 never gives more."""


def listed_pages(
    client: Any, bucket: str, prefix: str, options: Mapping[str, str], size: int = PAGE
) -> Iterator[dict[str, Any]]:
    """Answers that list the keys below a prefix, one page at a time; ``options`` are boto3's."""
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": size}, **options
    )
    try:
        yield from pages
    except client.exceptions.ClientError as error:
        # Some stores answer "no such key" for a prefix with nothing below it.
        if answer_code(error) not in MISSING_KEY:
            raise
