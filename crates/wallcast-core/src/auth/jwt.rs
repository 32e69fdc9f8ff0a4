//! JSON Web Tokens (RFC 7519) with HS256 as the only algorithm, signed with the server's own key.

use std::sync::{Arc, Once};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::principal::{Role, Subject};

/// Length of the signing key in bytes (256 bits).
pub const KEY_BYTES: usize = 32;

/// The claims of a token. Equal claims always give the same token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// The id of the admin, client, user or pairing.
    pub sub: String,
    /// Equal to `sub`; [`Signer::verify`] rejects a token in which it differs.
    pub username: String,
    /// `admin`, `client`, `user` or `pairing`.
    pub role: String,
    /// Identifies the token, so that it can be revoked.
    pub jti: String,
    /// Issued at, in seconds since the Unix epoch.
    pub iat: i64,
    /// Expires at, in seconds since the Unix epoch.
    pub exp: i64,
    /// A person's mail address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// A person's organisation on the status board.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub organization_id: Option<String>,
    /// A person's tenant on the status board.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenant_id: Option<String>,
}

impl Claims {
    /// The principal that the claims name.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the role is unknown or `sub` is not an id.
    pub fn subject(&self) -> Result<Subject, TokenError> {
        let invalid = |_| TokenError::Invalid;
        match Role::parse(&self.role) {
            Some(Role::Admin) => self.sub.parse().map(Subject::Admin).map_err(invalid),
            Some(Role::Client) => self.sub.parse().map(Subject::Client).map_err(invalid),
            Some(Role::User) => self.sub.parse().map(Subject::User).map_err(invalid),
            Some(Role::Pairing) => self.sub.parse().map(Subject::Pairing).map_err(invalid),
            None => Err(TokenError::Invalid),
        }
    }
}

/// Why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The format, signature, algorithm or claims are wrong.
    #[error("the token is not valid")]
    Invalid,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
}

/// Signs and verifies tokens. Cheap to clone; its `Debug` output hides the key.
#[derive(Clone)]
pub struct Signer(Arc<Keys>);

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    mac: hmac::Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(***)")
    }
}

impl Signer {
    /// Creates a signer with the server's signing key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        install_provider();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self(Arc::new(Keys {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            mac: hmac::Key::new(hmac::HMAC_SHA256, key),
        }))
    }

    /// Signs the claims. The result depends on nothing but the claims and the key.
    ///
    /// # Errors
    /// If the JSON or HMAC library fails.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.0.encoding)
    }

    /// Computes an HMAC-SHA-256 over a text that is not a token, encoded as base64url.
    ///
    /// The text must contain a byte that cannot occur in a token, such as NUL: otherwise a MAC could serve as the
    /// signature of a token.
    pub fn mac(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0.mac, text.as_bytes()))
    }

    /// Whether `mac` is the result of [`Signer::mac`] for `text`. Compares in constant time.
    pub fn verify_mac(&self, text: &str, mac: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(mac)
            .is_ok_and(|mac| hmac::verify(&self.0.mac, text.as_bytes(), &mac).is_ok())
    }

    /// Checks the signature, the algorithm and `exp`, and returns the claims. Whether the `jti` is still active must be
    /// checked against the store.
    ///
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::Invalid`].
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.0.decoding, &self.0.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?;
        let claims = data.claims;
        if claims.jti.is_empty() || claims.username != claims.sub {
            return Err(TokenError::Invalid);
        }
        Ok(claims)
    }
}

/// Gives the JWT library HMAC-SHA-256 from `ring`, so that no second cryptography library is linked.
fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| {
            Ok(Box::new(Hs256::new(algorithm, key.try_get_as_bytes()?)?))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if PROVIDER.install_default().is_err() {
            tracing::error!("another JWT crypto provider is already installed");
        }
    });
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(algorithm: &Algorithm, secret: &[u8]) -> Result<Self, Error> {
        if *algorithm == Algorithm::HS256 {
            Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
        } else {
            Err(ErrorKind::InvalidAlgorithm.into())
        }
    }
}

impl signature::Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn claims(exp_in: i64) -> Claims {
        let now = Timestamp::now().unix_seconds();
        Claims {
            sub: "client_1".into(),
            username: "client_1".into(),
            role: "client".into(),
            jti: "j1".into(),
            iat: now,
            exp: now + exp_in,
            email: None,
            organization_id: None,
            tenant_id: None,
        }
    }

    fn forge(header: &str, payload: &str, signature: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{signature}", encode(header), encode(payload))
    }

    #[test]
    fn equal_claims_sign_to_equal_tokens() {
        let signer = Signer::new(&[7; KEY_BYTES]);
        let claims = claims(60);
        let token = signer.sign(&claims).unwrap();
        assert_eq!(signer.sign(&claims).unwrap(), token);
        assert_eq!(signer.verify(&token).unwrap(), claims);
    }

    #[test]
    fn verify_other_key_algorithm_or_expiry_fails() {
        let signer = Signer::new(&[7; KEY_BYTES]);
        let other = Signer::new(&[8; KEY_BYTES]).sign(&claims(60)).unwrap();
        assert_eq!(signer.verify(&other), Err(TokenError::Invalid));
        let expired = signer.sign(&claims(-1)).unwrap();
        assert_eq!(signer.verify(&expired), Err(TokenError::Expired));
        let payload = serde_json::to_string(&claims(60)).unwrap();
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"RS256"}"#,
        ] {
            let token = forge(header, &payload, "");
            assert_eq!(signer.verify(&token), Err(TokenError::Invalid), "{header}");
        }
        for junk in ["", ".", "..", "a.b.c", "ü.ü.ü"] {
            assert_eq!(signer.verify(junk), Err(TokenError::Invalid), "{junk}");
        }
    }

    #[test]
    fn verify_missing_jti_or_other_username_fails() {
        let signer = Signer::new(&[7; KEY_BYTES]);
        let mut without_jti = claims(60);
        without_jti.jti = String::new();
        let mut other_username = claims(60);
        other_username.username = "client_2".into();
        for claims in [without_jti, other_username] {
            let token = signer.sign(&claims).unwrap();
            assert_eq!(signer.verify(&token), Err(TokenError::Invalid));
        }
    }
}
