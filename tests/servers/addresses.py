"""The address and the credentials of each kind of server. Passwords and keys are random, and all are on 127.0.0.1."""

from attrs import frozen


@frozen
class Redis:
    """A Redis with 16 databases."""

    port: int
    password: str

    def url(self, database: int = 0) -> str:
        """Return the URL for redis-py, Celery and RQ."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"


@frozen
class RabbitMQ:
    """A RabbitMQ and its administrator."""

    port: int
    password: str
    user: str = "pixcore"

    @property
    def url(self) -> str:
        """Return the URL for Celery."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}//"


@frozen
class Postgres:
    """A PostgreSQL and its superuser."""

    port: int
    user: str
    password: str

    def url(self, database: str = "postgres", driver: str = "postgresql+psycopg") -> str:
        """Return the URL for SQLAlchemy; with the driver ``postgresql``, that for psycopg."""
        return f"{driver}://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"


@frozen
class S3:
    """A server with the S3 API, without buckets at first."""

    port: int
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"


@frozen
class Azure:
    """An account of Azure Blob Storage, without containers at first."""

    port: int
    account: str
    key: str

    @property
    def url(self) -> str:
        """The URL of the account."""
        return f"http://127.0.0.1:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """The value of ``AZURE_STORAGE_CONNECTION_STRING``."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};BlobEndpoint={self.url};"
        )


@frozen
class Google:
    """A server with the JSON API of Google Cloud Storage, without buckets at first. It takes no credentials."""

    port: int

    @property
    def url(self) -> str:
        """The URL of the server, as ``STORAGE_EMULATOR_HOST`` names it."""
        return f"http://127.0.0.1:{self.port}"
