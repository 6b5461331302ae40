# mypy: disable-error-code="import-not-found,import-untyped,misc,no-any-return,untyped-decorator"
"""Authlib's example server for Flask, reduced to client credentials, on PostgreSQL.

DATABASE is the URL of the database. `python server.py` makes the tables and the first client, whose secret
is SECRET; gunicorn serves `app`.
"""

import os

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_query_token_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, Response
from sqlalchemy import Column, Integer, create_engine
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

engine = create_engine(os.environ["DATABASE"], pool_size=8)
session = scoped_session(sessionmaker(engine, expire_on_commit=False))


class Base(DeclarativeBase):
    """The base class of the tables."""


class Client(Base, OAuth2ClientMixin):
    """A client."""

    __tablename__ = "oauth2_client"
    id = Column(Integer, primary_key=True)


class Token(Base, OAuth2TokenMixin):
    """An access token."""

    __tablename__ = "oauth2_token"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)


class Introspection(IntrospectionEndpoint):
    """Introspection, of any token by any client."""

    query_token = staticmethod(create_query_token_func(session, Token))

    def check_permission(self, _token: object, _client: object, _request: object) -> bool:
        """Whether a client may introspect a token."""
        return True

    def introspect_token(self, token: Token) -> dict[str, object]:
        """The answer for an active token."""
        return {
            "active": True,
            "client_id": token.client_id,
            "token_type": token.token_type,
            "scope": token.get_scope(),
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
        }


app = Flask(__name__)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": 1200}
server = AuthorizationServer(
    app, create_query_client_func(session, Client), create_save_token_func(session, Token)
)
server.register_grant(ClientCredentialsGrant)
server.register_endpoint(Introspection)


@app.teardown_appcontext
def close(_error: BaseException | None) -> None:
    """Return the connection to the pool."""
    session.remove()


@app.post("/oauth/token")
def issue() -> Response:
    """Grant a token."""
    return server.create_token_response()


@app.post("/oauth/introspect")
def introspect() -> Response:
    """Answer whether a token is active."""
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


def set_up() -> None:
    """Make the tables and the first client."""
    Base.metadata.create_all(engine)
    client = Client(client_id="client0", client_secret=os.environ["SECRET"])
    client.set_client_metadata(
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
    )
    session.add(client)
    session.commit()


if __name__ == "__main__":
    set_up()
