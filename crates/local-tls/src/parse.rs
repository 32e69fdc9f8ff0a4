//! Parses the fields of a certificate that renewal depends on (RFC 5280, section 4.1). Makes no trust decisions: webpki
//! verifies signatures and chains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, Tag, TagClass, tags};

use super::constraints::{Constraints, Subnet};
use super::names::{AltName, CertificateNames, HostName};

const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];
const NAME_CONSTRAINTS: [u64; 4] = [2, 5, 29, 30];
const DNS_NAME: Tag = general_name(2);
const IP_ADDRESS: Tag = general_name(7);

/// The certificate is not valid DER as defined by RFC 5280.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be parsed")]
pub struct ParseError;

/// The fields that determine when a certificate is renewed and what it may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateContents {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    /// Attribute types and values in order. Values of other types than UTF8String are omitted.
    pub(super) subject: Vec<(Vec<u64>, String)>,
    /// DNS names and addresses. Other kinds of names and wildcards are omitted.
    pub(super) names: CertificateNames,
    pub(super) constraints: Option<Constraints>,
}

pub(super) fn certificate(der: &CertificateDer<'_>) -> Result<CertificateContents, ParseError> {
    yasna::parse_der(der, |reader| {
        reader.read_sequence(|certificate| {
            let contents = certificate.next().read_sequence(to_be_signed)?;
            certificate.next().read_der()?;
            certificate.next().read_der()?;
            Ok(contents)
        })
    })
    .map_err(|_| ParseError)
}

fn to_be_signed(fields: &mut yasna::BERReaderSeq<'_, '_>) -> ASN1Result<CertificateContents> {
    fields.read_optional(|version| {
        version.read_tagged(Tag::context(0), |number| number.read_der())
    })?;
    for _ in ["serial number", "signature algorithm", "issuer"] {
        fields.next().read_der()?;
    }
    let (not_before, not_after) = fields
        .next()
        .read_sequence(|validity| Ok((time(validity.next())?, time(validity.next())?)))?;
    let subject = subject(fields.next())?;
    let _public_key = fields.next().read_der()?;
    for unique_id in [1, 2] {
        fields.read_optional(|id| {
            id.read_tagged_implicit(Tag::context(unique_id), |bits| bits.read_bitvec_bytes())
        })?;
    }
    let mut contents = CertificateContents {
        not_before,
        not_after,
        subject,
        names: CertificateNames::default(),
        constraints: None,
    };
    fields.read_optional(|extensions| {
        extensions.read_tagged(Tag::context(3), |list| {
            list.read_sequence_of(|extension| {
                let (id, value) = extension.read_sequence(|fields| {
                    let id = fields.next().read_oid()?;
                    fields.read_default(false, |critical| critical.read_bool())?;
                    Ok((id, fields.next().read_bytes()?))
                })?;
                if id == ObjectIdentifier::from_slice(&SUBJECT_ALT_NAME) {
                    contents.names = yasna::parse_der(&value, alternative_names)?;
                } else if id == ObjectIdentifier::from_slice(&NAME_CONSTRAINTS) {
                    contents.constraints = Some(yasna::parse_der(&value, permitted)?);
                }
                Ok(())
            })
        })
    })?;
    Ok(contents)
}

fn time(reader: BERReader<'_, '_>) -> ASN1Result<OffsetDateTime> {
    if reader.lookahead_tag()? == tags::TAG_UTCTIME {
        return Ok(*reader.read_utctime()?.datetime());
    }
    Ok(*reader.read_generalized_time()?.datetime())
}

fn subject(reader: BERReader<'_, '_>) -> ASN1Result<Vec<(Vec<u64>, String)>> {
    let mut attributes = Vec::new();
    reader.read_sequence_of(|relative_name| {
        relative_name.read_set_of(|attribute| {
            attribute.read_sequence(|fields| {
                let id = fields.next().read_oid()?;
                let value = fields.next();
                if value.lookahead_tag()? == tags::TAG_UTF8STRING {
                    attributes.push((id.components().clone(), value.read_utf8string()?));
                } else {
                    value.read_der()?;
                }
                Ok(())
            })
        })
    })?;
    Ok(attributes)
}

fn alternative_names(reader: BERReader<'_, '_>) -> ASN1Result<CertificateNames> {
    let names = reader.collect_sequence_of(|name| match name.lookahead_tag()? {
        DNS_NAME => Ok(HostName::parse(&dns_name(name)?).ok().map(AltName::from)),
        IP_ADDRESS => Ok(address(&octets(name)?).map(AltName::from)),
        _ => name.read_der().map(|_| None),
    })?;
    Ok(names.into_iter().flatten().collect())
}

/// Parses permitted subtrees of DNS names and addresses. Anything else is an error, because omitting it would change
/// the constraints.
fn permitted(reader: BERReader<'_, '_>) -> ASN1Result<Constraints> {
    let mut constraints = Constraints {
        dns: Vec::new(),
        subnets: Vec::new(),
    };
    reader.read_sequence(|trees| {
        trees.next().read_tagged_implicit(Tag::context(0), |list| {
            list.read_sequence_of(|subtree| {
                subtree.read_sequence(|fields| {
                    let base = fields.next();
                    match base.lookahead_tag()? {
                        DNS_NAME => constraints
                            .dns
                            .push(HostName::parse(&dns_name(base)?).map_err(|_| invalid())?),
                        IP_ADDRESS => constraints
                            .subnets
                            .push(Subnet::from_octets(&octets(base)?).ok_or_else(invalid)?),
                        _ => return Err(invalid()),
                    }
                    Ok(())
                })
            })
        })
    })?;
    Ok(constraints)
}

fn dns_name(reader: BERReader<'_, '_>) -> ASN1Result<String> {
    reader.read_tagged_implicit(DNS_NAME, |name| name.read_ia5_string())
}

fn octets(reader: BERReader<'_, '_>) -> ASN1Result<Vec<u8>> {
    reader.read_tagged_implicit(IP_ADDRESS, |octets| octets.read_bytes())
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(octets)
        .ok()
        .map(|v6| Ipv6Addr::from(v6).into())
}

fn invalid() -> ASN1Error {
    ASN1Error::new(ASN1ErrorKind::Invalid)
}

const fn general_name(tag_number: u64) -> Tag {
    Tag {
        tag_class: TagClass::ContextSpecific,
        tag_number,
    }
}
