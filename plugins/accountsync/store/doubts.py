"""Calls of which nobody knows the outcome, in the SQL of others."""

from __future__ import annotations

MAY_HAVE_HAPPENED = """
  asked.person_id = {0}.person_id
    AND asked.system = {0}.system
    AND EXISTS (
      SELECT FROM accountsync.task_attempt a
      WHERE a.task_id = asked.id AND a.outcome = 'unknown'
    )
    AND asked.id > ALL (
      SELECT over.id
      FROM accountsync.account_task over
      WHERE over.person_id = {0}.person_id
        AND over.system = {0}.system
        AND over.state = 'succeeded'
    )
"""
"""Of a task `asked`: it is about the account of task {0}, a call of it got no answer, and nothing
has succeeded there since. Rides on ix_account_task_person_id_system_id."""
