"""Which act each route is: one table for pages and API, checked before every request and when the app is made.

OPEN: nobody is looked up (probes, files). PUBLIC: anybody, signed in or not. SIGNED_IN: whoever is signed in.
Any other word is an act of `tenants/roles.yaml`.
"""

from __future__ import annotations

from flask import Flask

from api.access_api import RULES as API
from api.access_territory import RULES as TERRITORY
from tenants import roles

OPEN, PUBLIC, SIGNED_IN = "OPEN", "PUBLIC", "SIGNED_IN"

RULES: dict[str, str] = {
    # files and probes
    "static": OPEN,
    "look.theme": OPEN,
    "look.logo": OPEN,
    "openapi.spec": OPEN,
    "health.healthz": OPEN,
    "health.readyz": OPEN,
    "health.metrics": OPEN,
    # signing in and out (pages)
    "signing_in.form": PUBLIC,
    "signing_in.enter": PUBLIC,
    "signing_in.leave": SIGNED_IN,
    "signing_in.code_form": PUBLIC,
    "signing_in.code": PUBLIC,
    "signing_in.leave_for": PUBLIC,
    "signing_in.come_back": PUBLIC,
    "signing_in.waiting": SIGNED_IN,
    "signing_in.act_for": SIGNED_IN,
    "link_pages.forgotten_form": PUBLIC,
    "link_pages.forgotten": PUBLIC,
    "link_pages.form": PUBLIC,
    "link_pages.use": PUBLIC,
    # one's own account and tokens (pages)
    "account_pages.show": SIGNED_IN,
    "account_pages.rename": SIGNED_IN,
    "account_pages.change_password": SIGNED_IN,
    "account_pages.begin_second_factor": SIGNED_IN,
    "account_pages.second_factor_form": SIGNED_IN,
    "account_pages.confirm_second_factor": SIGNED_IN,
    "account_pages.end_second_factor": SIGNED_IN,
    "account_pages.end_session": SIGNED_IN,
    "notice_pages.show": SIGNED_IN,
    "notice_pages.choose": SIGNED_IN,
    "token_pages.listed": "token.own",
    "token_pages.make": "token.own",
    "token_pages.revoke": "token.own",
    # people (pages)
    "people_pages.listed": "people.read",
    "people_pages.invite": "people.manage",
    "people_pages.show": "people.read",
    "people_pages.set_roles": "people.manage",
    "people_pages.invite_again": "people.manage",
    "people_pages.close": "account.manage",
    "people_pages.take_second_factor": "account.manage",
    "people_pages.revoke_token": "people.manage",
    "deputy_pages.listed": "order.decide",
    "deputy_pages.appoint": "order.decide",
    "deputy_pages.end": "order.decide",
    # what the site says of itself (pages)
    "legal_pages.accessibility": PUBLIC,
    "legal_pages.site_map": PUBLIC,
    "legal_pages.notices": PUBLIC,
    "legal_pages.personal_data": PUBLIC,
    # home, flows (pages)
    "home_pages.show": "service.read",
    "flow_pages.show": "flow.read",
    "flow_pages.ask_cancel": "flow.cancel",
    "flow_pages.cancel": "flow.cancel",
    # catalogue and orders (pages)
    "catalogue_pages.offers": "catalogue.read",
    "catalogue_pages.offer": "catalogue.read",
    "catalogue_pages.price": "catalogue.read",
    "catalogue_pages.send": "order.place",
    "order_pages.listed": "order.read",
    "order_pages.waiting": "order.decide",
    "order_pages.one": "order.read",
    "order_pages.approve": "order.decide",
    "order_pages.reject": "order.decide",
    "order_pages.take_back": "order.decide",
    "order_pages.cancel": "order.place",
    # services (pages)
    "service_pages.listed": "service.read",
    "service_pages.one": "service.read",
    "service_pages.ask": "service.operate",
    "service_pages.do": "service.operate",
    "service_secret_pages.show": "service.secret",
    "service_secret_pages.renew": "service.operate",
    "entry_pages.authority": "service.read",
    "console_pages.show": "service.operate",
    "console_pages.ask": "service.operate",
    "service_changes.ask": "order.place",
    "service_changes.order": "order.place",
    "snapshot_pages.ask_restore": "service.operate",
    "snapshot_pages.restore": "service.operate",
    "snapshot_pages.ask_delete": "service.operate",
    "snapshot_pages.delete": "service.operate",
    "snapshot_pages.show_schedule": "service.operate",
    "snapshot_pages.put_schedule": "service.operate",
    "snapshot_pages.remove_schedule": "service.operate",
    "move_pages.ask": "member.manage",
    "move_pages.move": "member.manage",
    "copy_pages.ask": "order.place",
    "copy_pages.order": "order.place",
    "copy_pages.ask_refresh": "service.operate",
    "copy_pages.refresh": "service.operate",
    "upgrade_pages.ask": "service.operate",
    "upgrade_pages.upgrade": "service.operate",
    "upgrade_pages.ask_postpone": "service.operate",
    "upgrade_pages.postpone": "service.operate",
    "maintenance_pages.show": "service.operate",
    "maintenance_pages.put": "service.operate",
    "backup_pages.make": "service.operate",
    "backup_pages.prove": "service.operate",
    "backup_pages.ask_restore": "service.operate",
    "backup_pages.restore": "service.operate",
    "backup_pages.switch": "service.operate",
    "drift_pages.check": "service.operate",
    "drift_pages.ask_repair": "service.operate",
    "drift_pages.repair": "service.operate",
    "export_pages.make": "service.operate",
    "export_pages.fetch": "service.operate",
    "export_pages.certificate": "service.read",
    "export_pages.certificate_text": "service.read",
    # statements (pages)
    "statement_pages.listed": "statement.read",
    "statement_pages.one": "statement.read",
    "statement_pages.line": "statement.read",
    "statement_pages.download": "statement.read",
    "statement_pages.invoice": "statement.read",
    "annual_pages.show": "statement.read",
    "annual_pages.file": "statement.read",
    "focus_pages.statement": "statement.read",
    "dispute_pages.of_statement": "statement.read",
    "dispute_pages.open_": "statement.dispute",
    "dispute_pages.withdraw": "statement.dispute",
    # costs, webhooks, register (pages)
    "cost_pages.show": "cost.read",
    "cost_pages.export": "cost.read",
    "webhook_pages.listed": "webhook.manage",
    "webhook_pages.add": "webhook.manage",
    "webhook_pages.one": "webhook.manage",
    "webhook_pages.change": "webhook.manage",
    "webhook_pages.rotate": "webhook.manage",
    "webhook_pages.enable": "webhook.manage",
    "webhook_pages.disable": "webhook.manage",
    "webhook_pages.test": "webhook.manage",
    "webhook_pages.replay": "webhook.manage",
    "webhook_pages.replay_since": "webhook.manage",
    "webhook_pages.ask_remove": "webhook.manage",
    "webhook_pages.remove": "webhook.manage",
    "register_pages.show": "register.read",
    "register_pages.export": "register.read",
}

RULES |= TERRITORY | API


def check(app: Flask) -> None:
    """Refuse an app with a route that nobody decided about, or a rule that names no act."""
    missing = {rule.endpoint for rule in app.url_map.iter_rules()} - RULES.keys()
    unknown = set(RULES.values()) - {OPEN, PUBLIC, SIGNED_IN} - roles.acts().keys()
    if missing or unknown:
        raise RuntimeError(f"api/access.py: no rule for {sorted(missing)}, no such act {sorted(unknown)}")
