"""Files of HR in an object store, read through an Airflow Connection: a server that speaks S3."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from accountsync import connections
from accountsync.clock import utc_now
from accountsync.errors import AccountSyncError, ConfigurationError, TransientError
from accountsync.hr.file import FileHrSource
from accountsync.hr.source import Ask
from accountsync.jobs.persons.sync_hr_persons import sync_hr_persons
from accountsync.settings.hr_files import FileSource
from tests.conftest import DATABASE_VARIABLE
from tests.integration.persons.hr_files import FIELDS, NAMES, ROWS, Drop, csv

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # Airflow's own

EVERY_FILE = "*"  # such a list s3fs remembers: who relies on it sees what was there before
ARCHIVED = {"persons-1", "persons-1.done"}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon's clients go by them: another profile, another store, a proxy."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@contextmanager
def serving_s3(port: int = 0) -> Iterator[str]:
    """Its address. All servers of this process have the same buckets."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@dataclass(frozen=True, kw_only=True)
class Client:
    """Whom the store belongs to: HR, which puts files there by other means than ours."""

    address: str

    def of(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id="AKIAOWNER",
            aws_secret_access_key="owner",
        )


@pytest.fixture(scope="module")
def owner() -> Iterator[Client]:
    with serving_s3() as address:
        yield Client(address=address)


@dataclass(frozen=True, kw_only=True)
class Bucket(Drop):
    """One of HR's, with a file in it that is complete; the archive is in it, too."""

    name: str
    s3: Any

    def put(self, name: str, content: bytes, *, marker: bytes | None = b"") -> None:
        for file, held in ((name, content), (f"{name}.done", marker)):
            if held is not None:
                self.s3.put_object(Bucket=self.name, Key=f"in/{file}", Body=held)

    def names(self, folder: str) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=self.name, Prefix=f"{folder}/")
        return {one["Key"].removeprefix(f"{folder}/") for one in found.get("Contents", [])}

    def content(self, key: str) -> bytes:
        held: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return held

    def is_untouched(self) -> bool:
        return (self.persons(), self.names("in"), self.names("archive")) == ({}, ARCHIVED, set())


@dataclass(frozen=True, kw_only=True)
class Login:
    key: str
    secret: str


OURS = Login(key="AKIAOURS", secret="of/ours")
Connect = Callable[..., str]


@pytest.fixture
def connect(owner: Client, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes an Airflow Connection: Airflow keeps the file system of one as long as the process."""

    def made(login: Login = OURS, **extra: Any) -> str:
        conn_id = f"hr_drop_{uuid4().hex}"
        extra = {"endpoint_url": owner.address, "region_name": "us-east-1"} | extra
        held = {"conn_type": "aws", "login": login.key, "password": login.secret, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(held))
        return conn_id

    return made


@pytest.fixture
def bucket(
    owner: Client, connect: Connect, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    name, s3 = f"hr-{uuid4().hex}", owner.of("s3")
    s3.create_bucket(Bucket=name)
    also = {"conn_id": connect(), "pattern": EVERY_FILE, "encoding": "gb18030"}
    bucket = Bucket(name=name, s3=s3, root=f"s3://{name}", engine=engine, also=also)
    bucket.put("persons-1", csv(ROWS).encode("gb18030"), marker=b"2")
    yield bucket
    connections._engine(url).dispose()


def refusal(bucket: Bucket, **more: Any) -> AccountSyncError:
    """What a run says that could not read: in a line, what to look at, and no secret (I15)."""
    with pytest.raises((ConfigurationError, TransientError)) as raised:
        bucket.sync(**more)
    said = str(raised.value)
    assert said.startswith(f"HR source 'drop' (s3://{bucket.name}/in, archive s3://")
    assert repr(more.get("conn_id", bucket.also["conn_id"])) in said
    assert "\n" not in said
    assert OURS.secret not in said
    return raised.value


def test_a_file_is_read_in_its_encoding_merged_and_put_away(bucket: Bucket) -> None:
    """And a folder that is empty then is none that is lost."""
    assert bucket.sync().inserted == 2
    assert bucket.persons() == NAMES
    assert (bucket.names("in"), bucket.names("archive")) == (set(), ARCHIVED)
    assert bucket.content("archive/persons-1").decode("gb18030") == csv(ROWS)
    assert bucket.sync().fetched == 0


def test_a_file_counts_once_its_marker_is_there(bucket: Bucket) -> None:
    """I2: whatever the store's file system remembers of the list of before."""
    bucket.put("persons-2", csv(ROWS).encode("gb18030"), marker=None)
    bucket.sync()
    assert (bucket.names("in"), bucket.names("archive")) == ({"persons-2"}, ARCHIVED)
    bucket.put("persons-2", csv(ROWS[:1]).encode("gb18030"))
    assert bucket.sync().fetched == 1
    assert bucket.names("in") == set()


def test_the_archives_bucket_has_to_be_there_before_anything_is_merged(bucket: Bucket) -> None:
    with pytest.raises(TransientError, match=f"'drop' .*s3://no-{bucket.name}/.* `archive`"):
        bucket.sync(archive=f"s3://no-{bucket.name}/archive")
    assert bucket.is_untouched()


@pytest.fixture
def allowed(owner: Client, bucket: Bucket) -> Callable[..., Login]:
    """Somebody who may do so much; moto asks the bucket, Amazon the object who may delete."""
    iam = owner.of("iam")

    def made(**paths: str) -> Login:
        user = f"user-{uuid4().hex}"
        bucket_of = f"arn:aws:s3:::{bucket.name}"
        statements = [
            {"Effect": "Allow", "Action": f"s3:{action}", "Resource": bucket_of + path}
            for action, path in paths.items()
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return Login(key=key["AccessKeyId"], secret=key["SecretAccessKey"])

    return made


DOCUMENTED = {
    "ListBucket": "",
    "GetObject": "/in/*",
    "PutObject": "/archive/*",
    "DeleteObject": "*",
}


@contextmanager
def rights_matter() -> Iterator[None]:
    from moto.core.authorization import enable_iam_authentication

    with enable_iam_authentication():
        yield


def test_the_rights_that_the_documentation_asks_for_are_enough(
    bucket: Bucket, connect: Connect, allowed: Callable[..., Login]
) -> None:
    login = allowed(**DOCUMENTED)
    with rights_matter():
        read = bucket.sync(conn_id=connect(login))
    assert (read.inserted, bucket.names("archive")) == (2, ARCHIVED)


@pytest.mark.parametrize("lacking", ["ListBucket", "GetObject"])
def test_a_login_without_a_right_is_refused_before_anything_is_merged(
    bucket: Bucket, connect: Connect, allowed: Callable[..., Login], lacking: str
) -> None:
    login = allowed(**{right: path for right, path in DOCUMENTED.items() if right != lacking})
    with rights_matter():
        error = refusal(bucket, conn_id=connect(login))
    assert isinstance(error, ConfigurationError)
    assert bucket.is_untouched()


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_a_wrong_login_is_told_from_one_without_rights(
    bucket: Bucket, connect: Connect, allowed: Callable[..., Login], wrong: str
) -> None:
    login = replace(OURS, key=allowed(**DOCUMENTED).key) if wrong == "secret" else OURS
    with rights_matter():
        error = refusal(bucket, conn_id=connect(login))
    assert isinstance(error, ConfigurationError)
    assert {"key": "Access Key Id", "secret": "signature"}[wrong] in str(error)
    assert bucket.is_untouched()


def test_a_store_that_is_down_loses_nothing(bucket: Bucket, connect: Connect) -> None:
    with serving_s3() as address:
        once = {"retries": {"max_attempts": 0}}
        conn_id = connect(endpoint_url=address, config_kwargs=once)
    assert isinstance(refusal(bucket, conn_id=conn_id), TransientError)
    assert bucket.is_untouched()
    with serving_s3(int(address.rpartition(":")[2])):
        assert bucket.sync(conn_id=conn_id).inserted == 2


def test_a_file_that_may_not_be_deleted_is_not_read_for_ever_in_silence(bucket: Bucket) -> None:
    """S3 answers 200 to the request that deletes nothing."""
    nobody_deletes = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket.name}/in/*",
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [nobody_deletes]})
    bucket.s3.put_bucket_policy(Bucket=bucket.name, Policy=policy)
    with pytest.raises(ConfigurationError, match="persons-1 was merged and copied .* deleted"):
        bucket.sync()
    assert (bucket.persons(), bucket.names("in")) == (NAMES, ARCHIVED)


class Replaced(FileHrSource):
    """HR puts another file of the name there, once: after it was read, or while it is."""

    replace: Callable[[], None]
    during: str

    async def pages(self, ask: Ask) -> Any:
        async for page in super().pages(ask):
            yield page
            self._at("read")

    async def merged(self) -> None:
        self._at("merge")
        await super().merged()

    def _at(self, step: str) -> None:
        if step == self.during:
            self.replace()
            self.during = "done"


@pytest.mark.parametrize("during", ["read", "merge"])
def test_a_file_that_was_replaced_is_not_put_away_unread(bucket: Bucket, during: str) -> None:
    """I2."""
    from airflow.sdk import ObjectStoragePath

    settings = FileSource.model_validate(
        {
            "name": "drop", "kind": "file", "path": f"{bucket.root}/in", "format": "csv",
            "archive": f"{bucket.root}/archive", "fields": FIELDS,
        }
        | bucket.also
    )  # fmt: skip
    folder, archive = (
        ObjectStoragePath(path, conn_id=bucket.also["conn_id"])
        for path in (settings.path, settings.archive)
    )
    source = Replaced(settings, folder=folder, archive=archive)
    newer = csv([ROWS[0] | {"name": "欧阳新"}, ROWS[1]]).encode("gb18030")
    source.during, source.replace = during, lambda: bucket.put("persons-1", newer)
    sync_hr_persons(
        engine=bucket.engine,
        settings=settings,
        open_source=lambda: nullcontext(source),
        clock=utc_now,
    )
    if during == "merge":
        assert (bucket.persons(), bucket.names("archive")) == (NAMES, set())
        bucket.sync()
    assert bucket.persons()["E1"] == "欧阳新"
    assert (bucket.names("in"), bucket.content("archive/persons-1")) == (set(), newer)
