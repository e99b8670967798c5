"""Where a server is and what a client needs to be let in; every password and key is random, all are on 127.0.0.1."""

from attrs import frozen


@frozen
class Redis:
    """A Redis with 16 databases."""

    port: int
    password: str

    def url(self, database: int = 0) -> str:
        """The URL that redis-py, Celery and RQ take."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"


@frozen
class RabbitMQ:
    """A RabbitMQ, and its administrator."""

    port: int
    password: str
    user: str = "pixcore"

    @property
    def url(self) -> str:
        """The URL that Celery takes."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}//"


@frozen
class Postgres:
    """A PostgreSQL, and its superuser."""

    port: int
    user: str
    password: str

    def url(self, database: str = "postgres", driver: str = "postgresql+psycopg") -> str:
        """The URL that SQLAlchemy takes; with the driver ``postgresql``, the one that psycopg takes."""
        return f"{driver}://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"


@frozen
class S3:
    """A server that speaks S3, without buckets at first."""

    port: int
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"


@frozen
class Azure:
    """An account of Azure Blob Storage, without containers at first."""

    port: int
    account: str
    key: str

    @property
    def url(self) -> str:
        """The account's URL."""
        return f"http://127.0.0.1:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """What ``AZURE_STORAGE_CONNECTION_STRING`` holds."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};BlobEndpoint={self.url};"
        )
