//! `wallcast token`: creates, lists and revokes tokens through the API. A new token is printed
//! alone on stdout and nowhere else.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    CliError,
    api::{ApiClient, block_on},
    output,
};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it; it is not shown again
    Create(CreateToken),
    /// List the tokens' ids and properties, never the tokens themselves
    List(ListTokens),
    /// Revoke a token; it stops working at once
    Revoke(RevokeToken),
}

#[derive(Args)]
pub(super) struct CreateToken {
    /// Role of the token's subject
    #[arg(long)]
    role: TokenRole,
    /// Id of the client or user that the token is for
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Name of the token in the list
    #[arg(long, default_value = "made on the command line")]
    name: String,
    /// Lifetime in days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500), conflicts_with = "ttl")]
    ttl_days: Option<u64>,
    /// Lifetime in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    ttl: Option<u64>,
    /// The user's email address, contained in the token
    #[arg(long)]
    email: Option<String>,
    /// The organization that the token belongs to
    #[arg(long, value_name = "ID")]
    organization_id: Option<String>,
    /// The tenant that the token belongs to
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
}

#[derive(Args)]
pub(super) struct ListTokens {
    /// Print the API's JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct RevokeToken {
    /// The token's id, as shown by the list
    // One jti in 64 begins with a hyphen.
    #[arg(allow_hyphen_values = true)]
    jti: String,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum TokenRole {
    Admin,
    Client,
    User,
}

const SECONDS_PER_DAY: u64 = 86_400;

impl TokenCommand {
    pub(super) fn run(self, config: Config) -> Result<(), CliError> {
        block_on(async {
            let api = Box::pin(ApiClient::open(config)).await?;
            match self {
                Self::Create(create) => create.run(&api).await,
                Self::List(list) => list.run(&api).await,
                Self::Revoke(revoke) => revoke.run(&api).await,
            }
        })?
    }
}

#[derive(Deserialize)]
struct CreatedToken {
    token: String,
}

impl CreateToken {
    async fn run(self, api: &ApiClient) -> Result<(), CliError> {
        let body = self.body();
        let created: CreatedToken = api
            .request(Method::POST, "/api/tokens", Some(&body))
            .await?;
        output::line(&created.token)
    }

    fn body(self) -> Value {
        let seconds = self
            .ttl
            .or(self.ttl_days.map(|days| days * SECONDS_PER_DAY));
        let mut body = json!({
            "role": self.role,
            "subject": self.subject,
            "name": self.name,
            "ttlSeconds": seconds,
            "email": self.email,
            "organizationId": self.organization_id,
            "tenantId": self.tenant_id,
        });
        if let Some(keys) = body.as_object_mut() {
            keys.retain(|_, value| !value.is_null());
        }
        body
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenPage {
    tokens: Vec<Value>,
    next_cursor: Option<String>,
}

/// Column title and API key.
const COLUMNS: [(&str, &str); 7] = [
    ("JTI", "jti"),
    ("ROLE", "role"),
    ("SUBJECT", "subject"),
    ("NAME", "name"),
    ("CREATED", "createdAt"),
    ("EXPIRES", "expiresAt"),
    ("REVOKED", "revokedAt"),
];

impl ListTokens {
    async fn run(self, api: &ApiClient) -> Result<(), CliError> {
        let mut tokens = Vec::new();
        let mut path = "/api/tokens?limit=100".to_owned();
        loop {
            let page: TokenPage = api.request(Method::GET, &path, None).await?;
            tokens.extend(page.tokens);
            let Some(cursor) = page.next_cursor else {
                break;
            };
            let cursor = utf8_percent_encode(&cursor, NON_ALPHANUMERIC);
            path = format!("/api/tokens?limit=100&cursor={cursor}");
        }
        if self.json {
            return output::line(&json!({ "tokens": tokens }).to_string());
        }
        let titles = COLUMNS.map(|(title, _)| title.to_owned()).to_vec();
        let mut rows = vec![titles];
        rows.extend(tokens.iter().map(row));
        for line in output::table(&rows) {
            output::line(&line)?;
        }
        Ok(())
    }
}

fn row(token: &Value) -> Vec<String> {
    let cell = |key: &str| match token.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    COLUMNS.iter().map(|(_, key)| cell(key)).collect()
}

impl RevokeToken {
    async fn run(self, api: &ApiClient) -> Result<(), CliError> {
        let jti = utf8_percent_encode(&self.jti, NON_ALPHANUMERIC);
        let path = format!("/api/tokens/{jti}");
        api.send(Method::DELETE, &path, None)
            .await?
            .require_success()?;
        output::line(&output::printable(&format!("revoked {}", self.jti)))
    }
}
