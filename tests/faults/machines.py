"""The scenarios of several machines: two servers on one PostgreSQL, which is killed, cut off, and taken over from."""

from __future__ import annotations

import signal
import time

from checker import Least
from clients import READING, Sender
from servers import until
from stage import Scenario, Stage, end

_LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'quotechat'"


def between_machines(stage: Stage) -> None:
    """Readers that change their transport and their machine every 50 to 500 ms."""
    stage.senders(8, rate=20)
    stage.readers([READING] * 5, hop=(0.05, 0.5), wait=1.0)
    stage.inboxes()
    stage.run_for()


def database_killed(stage: Stage) -> None:
    """SIGKILL to PostgreSQL, again and again, and a start a moment later: readers stay, and catch up."""
    (database,) = stage.databases
    stage.senders(6, rate=40)
    stage.readers(READING)
    for _ in stage.until_over():
        _more_is_acked(stage, 20)
        with stage.history.fault("database killed"):
            database.stop(signal.SIGKILL)
            time.sleep(stage.chance.uniform(0, 0.5))
            database.start()
            _more_is_acked(stage, 20)


def connections_cut(stage: Stage) -> None:
    """The connections that listen are ended, or all, at any moment: also those in the midst of a transaction."""
    (database,) = stage.databases
    stage.senders(6, rate=40)
    stage.readers(READING)
    for _ in stage.until_over():
        time.sleep(stage.chance.uniform(0.05, 0.3))
        with stage.history.fault("connections cut"):
            database.sql(stage.chance.choice([_LISTENERS, _CONNECTIONS]))
            time.sleep(0.1)


def notices_lost(stage: Stage) -> None:
    """No notice leaves a machine (the deployment is altered so): it only takes longer."""
    stage.senders(4, rate=8)
    stage.readers([*READING, "long", "ws"])
    stage.run_for()


def failover(stage: Stage) -> None:
    """The primary dies, and its synchronous standby takes over: what was acknowledged is there."""
    primary, standby = stage.databases
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.sql("SELECT pg_reload_conf()")
    stage.senders(6, rate=40)
    stage.readers(READING)
    stage.run_for(0.5)
    with stage.history.fault("failover"):
        primary.stop(signal.SIGKILL)
        standby.promote()
        _more_is_acked(stage, 20)
    stage.run_for(0.5)


def failover_to_an_older_copy(stage: Stage) -> None:
    """The standby that takes over lags: no reader of the lost end is served from the other history."""
    primary, standby = stage.databases
    senders = stage.senders(6, rate=40)
    readers = stage.readers(READING)
    stage.run_for(0.4)
    with stage.history.fault("failover"):
        standby.stop()
        stage.run_for(0.4)
        stage.until_enough()
        end(senders)
        end(readers)
        cursors = [each.cursor for each in readers]
        stage.clients.clear()
        primary.stop(signal.SIGKILL)
        standby.start()
        standby.promote()
        stage.history.restored()
        stage.outgrow(cursors)
    stage.go_on_from(cursors)


def _more_is_acked(stage: Stage, count: int) -> None:
    senders = [each for each in stage.clients if isinstance(each, Sender)]
    before = sum(each.acked for each in senders)
    until(lambda: sum(each.acked for each in senders) >= before + count, 60, "more acks")


SCENARIOS = [
    Scenario(between_machines, Least(40, 100), servers=2, databases=1),
    Scenario(database_killed, Least(20, 50, faults=1), servers=2, databases=1),
    Scenario(connections_cut, Least(20, 50, faults=2), servers=2, databases=1),
    Scenario(notices_lost, Least(5, 20), {"altered": ["no-notices"]}, servers=2, databases=1),
    Scenario(failover, Least(20, 50, faults=1), servers=2, databases=2),
    Scenario(failover_to_an_older_copy, Least(20, 50, faults=1), servers=2, databases=2),
]
