"""The adapters of pixcore, one table a kind: name -> how it is made. Each is imported on use.

A new adapter is one file, one line here, an extra in pyproject.toml if it needs a package, and its contract test. Other
distributions register theirs as entry points of the same group, which are made by the same call: see docs/extending.md.
"""

from pixcore_runners.registry.table import Builtin, Table

_STORES = "pixcore_adapters.blob_store"
_ARCHIVERS = "pixcore_adapters.archiver"
_SOURCES = "pixcore_adapters.downloader.sources"
_EXPORT = "pixcore_adapters.outputs.export"

# By the scheme of the URL; made by (url, environ).
BLOB_STORES = Table(
    {
        "file": Builtin(f"{_STORES}.local:LocalBlobStore.at", form="file:FOLDER"),
        "azure": Builtin(f"{_STORES}.azure.store:AzureBlobStore.at", "azure", form="azure://CONTAINER/PREFIX"),
        "s3": Builtin(f"{_STORES}.s3.store:S3BlobStore.at", "s3", form="s3://BUCKET/PREFIX"),
        "gs": Builtin(f"{_STORES}.gs.store:GoogleBlobStore.at", "gs", form="gs://BUCKET/PREFIX"),
        "memory": Builtin(f"{_STORES}.memory:MemoryBlobStore.at", form="memory://"),
    },
    "pixcore.blob_stores",
)

# By the value of the setting `archive`; made by ().
ARCHIVERS = Table(
    {
        "zip": Builtin(f"{_ARCHIVERS}.zip:ZipArchiver"),
        "tar": Builtin(f"{_ARCHIVERS}.tar:TarArchiver"),
    },
    "pixcore.archivers",
)

# Filters of datasets, by the values of the setting `filters`; made by (). pixcore's own rules are not among them.
FILTERS = Table({}, "pixcore.filters")

# Sources that are searched by keyword, by the name that `--source` takes; made by (environ).
SEARCHES = Table(
    {
        "openverse": Builtin(f"{_SOURCES}.openverse:Openverse.at"),
        "commons": Builtin(f"{_SOURCES}.commons:Commons.at"),
        "commons-category": Builtin(f"{_SOURCES}.commons:CommonsCategory.at", form="commons-category:NAME"),
        "commons-depicts": Builtin(f"{_SOURCES}.commons:CommonsDepicts.at", form="commons-depicts:Q123"),
        "inaturalist": Builtin(f"{_SOURCES}.inaturalist:INaturalist.at"),
        "europeana": Builtin(f"{_SOURCES}.europeana:Europeana.at"),
        "met": Builtin(f"{_SOURCES}.museums:Met.at"),
        "artic": Builtin(f"{_SOURCES}.museums:ArtInstitute.at"),
        "smithsonian": Builtin(f"{_SOURCES}.museums:Smithsonian.at"),
        "bing": Builtin(f"{_SOURCES}.icrawler:Bing.at"),
        "google": Builtin(f"{_SOURCES}.icrawler:Google.at"),
        "baidu": Builtin(f"{_SOURCES}.icrawler:Baidu.at"),
        "ddgs": Builtin(f"{_SOURCES}.ddgs:Ddgs.at"),
    },
    "pixcore.sources",
)

# Layouts of an export, by the value of `--format`; made by (ExportRequest).
LAYOUTS = Table(
    {
        "imagefolder": Builtin(f"{_EXPORT}.imagefolder:ImageFolder.of"),
        "webdataset": Builtin(f"{_EXPORT}.webdataset:WebDataset"),
        "parquet": Builtin(f"{_EXPORT}.parquet:Parquet", "parquet"),
        "csv": Builtin(f"{_EXPORT}.csv_index:layout"),
        "jsonl": Builtin(f"{_EXPORT}.jsonl_index:layout"),
        "coco": Builtin(f"{_EXPORT}.coco:layout"),
    },
    "pixcore.layouts",
)
