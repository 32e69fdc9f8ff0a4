//! `wallcast token`: make, list and revoke tokens, through the API. A fresh token goes to stdout, bare, and nowhere else.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    CliError,
    api::{Api, block_on},
    output,
};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Token {
    /// Make a token and print it, shown this once
    Create(Create),
    /// List the tokens; what they are is never shown again
    List(List),
    /// End a token at once, everywhere
    Revoke(Revoke),
}

#[derive(Args)]
pub(super) struct Create {
    /// Who the token speaks for
    #[arg(long)]
    role: Role,
    /// The id that it speaks for: a client's, a user's
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// What the list of tokens calls it
    #[arg(long, default_value = "made on the command line")]
    name: String,
    /// How long it stands, in days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500), conflicts_with = "ttl")]
    ttl_days: Option<u64>,
    /// How long it stands, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    ttl: Option<u64>,
    /// The user's address, carried in the token
    #[arg(long)]
    email: Option<String>,
    /// The organisation that the token belongs to
    #[arg(long, value_name = "ID")]
    organization_id: Option<String>,
    /// The tenant that the token belongs to
    #[arg(long, value_name = "ID")]
    tenant_id: Option<String>,
}

#[derive(Args)]
pub(super) struct List {
    /// Print the API's JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// The token's id, as the list shows it
    // One in 64 begins with a hyphen.
    #[arg(allow_hyphen_values = true)]
    jti: String,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Admin,
    Client,
    User,
}

const SECONDS_A_DAY: u64 = 86_400;

impl Token {
    pub(super) fn run(self, config: Config) -> Result<(), CliError> {
        block_on(async {
            let api = Box::pin(Api::open(config)).await?;
            match self {
                Self::Create(create) => create.run(&api).await,
                Self::List(list) => list.run(&api).await,
                Self::Revoke(revoke) => revoke.run(&api).await,
            }
        })?
    }
}

#[derive(Deserialize)]
struct Created {
    token: String,
}

impl Create {
    async fn run(self, api: &Api) -> Result<(), CliError> {
        let body = self.body();
        let created: Created = api.ask(Method::POST, "/api/tokens", Some(&body)).await?;
        output::line(&created.token)
    }

    fn body(self) -> Value {
        let seconds = self.ttl.or(self.ttl_days.map(|days| days * SECONDS_A_DAY));
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
struct Page {
    tokens: Vec<Value>,
    next_cursor: Option<String>,
}

/// A column of the table: its title, and the API's key for it.
const COLUMNS: [(&str, &str); 7] = [
    ("JTI", "jti"),
    ("ROLE", "role"),
    ("SUBJECT", "subject"),
    ("NAME", "name"),
    ("CREATED", "createdAt"),
    ("EXPIRES", "expiresAt"),
    ("REVOKED", "revokedAt"),
];

impl List {
    async fn run(self, api: &Api) -> Result<(), CliError> {
        let mut tokens = Vec::new();
        let mut path = "/api/tokens?limit=100".to_owned();
        loop {
            let page: Page = api.ask(Method::GET, &path, None).await?;
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

impl Revoke {
    async fn run(self, api: &Api) -> Result<(), CliError> {
        let jti = utf8_percent_encode(&self.jti, NON_ALPHANUMERIC);
        let path = format!("/api/tokens/{jti}");
        api.send(Method::DELETE, &path, None).await?.good()?;
        output::line(&output::printable(&format!("revoked {}", self.jti)))
    }
}
