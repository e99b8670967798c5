"""Describe the dataset for programs in Croissant 1.1 (https://docs.mlcommons.org/croissant/), as ``mlcroissant`` reads.

Facts that only a publisher knows, such as an address or a date, are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from pixcore_adapters.outputs.card.counts import DatasetCounts, DescribedArchive
from pixcore_adapters.outputs.card.text import plain

MEDIA_TYPE = "application/ld+json"

_Json = Mapping[str, object]
_Fields = Mapping[str, tuple[str, _Json]]  # data type and source of each by name

_CONTEXT: _Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
# The rows of a zip archive that tools read, by the version of the archive's format: name and type of the file.
_ROWS = {1: ("metadata.jsonl", "application/jsonlines")}
_TYPED_ROWS = ("metadata.parquet", "application/x-parquet")
_ARCHIVE_TYPES = {".zip": "application/zip", ".tar": "application/x-tar"}
_MOST = 50  # keywords, licences and suffixes each

_CONTENT = {"extract": {"fileProperty": "content"}}
_PATH = {"extract": {"fileProperty": "fullpath"}}
_NO_JSON = ("images/*.jpg", "images/*.[!j]*")  # globs cannot express "everything except .json"


def render(counts: DatasetCounts) -> Iterator[bytes]:
    """Yield the document in parts; the same counts give the same bytes.

    Each archive is a file with its checksum. Its images and their rows are a record set that has the archive's name
    without the suffix. The rows of a tar archive are a record set of their own, as JSON text. If there are too many
    archives to describe one by one, they are one set of files, without record sets.
    """
    head = _json(_head(counts)).removesuffix("}")
    described = counts.described
    suffixes = (suffix for (suffix,), _ in counts.suffixes.top(_MOST))
    files = chain.from_iterable(map(_files, described)) if described else map(_all_archives, suffixes)
    record_sets = chain.from_iterable(map(_record_sets, described))
    for opening, items in ((f'{head},"distribution":[', files), ('],"recordSet":[', record_sets)):
        yield opening.encode()
        for number, item in enumerate(items):
            yield f"{',' if number else ''}\n{_json(item)}".encode()
    yield b"]}\n"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))  # ASCII, so that lone surrogates can be written, too


def _head(counts: DatasetCounts) -> _Json:
    keywords = (plain(keyword) for (_, keyword), _ in counts.labels.top(_MOST))
    licenses = (plain(name) for (name,), _ in counts.licenses.top(_MOST) if name)
    texts = {"keywords": list(dict.fromkeys(keywords)), "license": list(dict.fromkeys(licenses))}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": counts.dataset,
        "description": f"{counts.images} images in {counts.archives} archives, collected by pixcore.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        **{name: values for name, values in texts.items() if values},
    }


def _files(archive: DescribedArchive) -> Sequence[_Json]:
    name, suffix = _name(archive), _suffix(archive)
    whole = {
        "@type": "cr:FileObject",
        "@id": archive.path,
        "name": f"{name}{suffix}",
        "contentUrl": archive.path,
        "contentSize": f"{archive.bytes} B",
        "encodingFormat": _archive_type(suffix),
        "sha256": archive.sha256,
    }
    images = sorted({_image_type(one) for one in archive.formats}) or ["image/*"]
    match suffix:
        case ".zip":
            return whole, _metadata(archive), _file_set(archive, "images", ["images/*"], images)
        case ".tar":
            rows = _file_set(archive, "rows", ["images/*.json"], ["application/json"])
            return whole, _file_set(archive, "images", _NO_JSON, images), rows
        case _:
            return (whole,)


def _metadata(archive: DescribedArchive) -> _Json:
    name, media_type = _ROWS.get(archive.version, _TYPED_ROWS)
    return {
        "@type": "cr:FileObject",
        "@id": f"{_name(archive)}/{name}",
        "name": name,
        "containedIn": {"@id": archive.path},
        "contentUrl": name,
        "encodingFormat": media_type,
    }


def _file_set(archive: DescribedArchive, name: str, includes: Sequence[str], types: Sequence[str]) -> _Json:
    return {
        "@type": "cr:FileSet",
        "@id": f"{_name(archive)}/{name}",
        "name": name,
        "containedIn": {"@id": archive.path},
        "includes": includes,
        "encodingFormat": types,
    }


def _all_archives(suffix: str) -> _Json:
    pattern = f"data/chunk_*{suffix}"
    return {
        "@type": "cr:FileSet",
        "@id": pattern,
        "name": pattern,
        "includes": pattern,
        "encodingFormat": _archive_type(suffix),
    }


def _record_sets(archive: DescribedArchive) -> Sequence[_Json]:
    name = _name(archive)
    images, rows = ({"fileSet": {"@id": f"{name}/{files}"}} for files in ("images", "rows"))
    image = {"image": ("sc:ImageObject", {**images, **_CONTENT})}
    match _suffix(archive):
        case ".zip":
            return (_joined(archive, images, image),)
        case ".tar":  # each row is a file, and Croissant cannot split such files into columns
            row = {"row": ("sc:Text", {**rows, **_CONTENT})}
            path = {"file_name": ("sc:Text", {**images, **_PATH})}
            of_row = {"file_name": ("sc:Text", {**rows, **_PATH})}
            return _record_set(name, path | image), _record_set(f"{name}_rows", of_row | row)
        case _:
            return ()


def _joined(archive: DescribedArchive, images: _Json, image: _Fields) -> _Json:
    """Join the rows to the images. ``mlcroissant`` loses the images if they are joined to the rows."""
    name = _name(archive)
    rows: _Json = {"fileObject": {"@id": _metadata(archive)["@id"]}}
    fields: dict[str, tuple[str, _Json]] = {
        column: (_data_type(archive, column, kind), {**rows, "extract": {"column": column}})
        for column, kind in archive.columns.items()
    }
    fields["file_name"] = ("sc:Text", {**images, **_PATH})
    reference = {"references": {**rows, "extract": {"column": "file_name"}}}
    return _record_set(name, {**fields, **image}, reference)


def _record_set(name: str, fields: _Fields, reference: _Json | None = None) -> _Json:
    """Describe a record set. Its key is ``file_name``, which also has the ``reference`` of a join."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/file_name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field}",
                "name": field,
                "dataType": data_type,
                "source": source,
                **((reference or {}) if field == "file_name" else {}),
            }
            for field, (data_type, source) in fields.items()
        ],
    }


def _name(archive: DescribedArchive) -> str:
    return f"chunk_{archive.chunk}"


def _suffix(archive: DescribedArchive) -> str:
    return archive.path.removeprefix(f"data/{_name(archive)}")


def _data_type(archive: DescribedArchive, column: str, kind: str) -> str:
    if kind == "integer":
        return "sc:Integer"
    # Readers of JSON make times of this column. Typed rows have text, which is returned as it was written.
    return "sc:DateTime" if column == "fetched_at" and archive.version == 1 else "sc:Text"


def _archive_type(suffix: str) -> str:
    return _ARCHIVE_TYPES.get(suffix, "application/octet-stream")


def _image_type(name: str) -> str:
    return "image/jpeg" if name == "MPO" else f"image/{name.lower()}"
