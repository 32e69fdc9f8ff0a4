//! Reads back what Wallcast must know of a finished certificate (RFC 5280, 4.1). Never decides trust:
//! signatures and chains are webpki's business, and it has parsed every certificate before it comes here.

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

/// The certificate is not the DER that RFC 5280 describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read")]
pub struct Unreadable;

/// The parts of a certificate that decide when it is renewed and what it may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    /// Attribute type and value, in order; values that are not UTF8String are left out.
    pub(super) subject: Vec<(Vec<u64>, String)>,
    /// DNS names and addresses; other kinds and wildcards are left out.
    pub(super) names: CertificateNames,
    pub(super) constraints: Option<Constraints>,
}

pub(super) fn certificate(der: &CertificateDer<'_>) -> Result<Contents, Unreadable> {
    yasna::parse_der(der, |reader| {
        reader.read_sequence(|certificate| {
            let contents = certificate.next().read_sequence(to_be_signed)?;
            certificate.next().read_der()?;
            certificate.next().read_der()?;
            Ok(contents)
        })
    })
    .map_err(|_| Unreadable)
}

fn to_be_signed(fields: &mut yasna::BERReaderSeq<'_, '_>) -> ASN1Result<Contents> {
    fields.read_optional(|version| {
        version.read_tagged(Tag::context(0), |number| number.read_der())
    })?;
    for _ in ["serial number", "signature algorithm", "issuer"] {
        fields.next().read_der()?;
    }
    let (not_before, not_after) = fields
        .next()
        .read_sequence(|validity| Ok((instant(validity.next())?, instant(validity.next())?)))?;
    let subject = subject(fields.next())?;
    let _public_key = fields.next().read_der()?;
    for unique_id in [1, 2] {
        fields.read_optional(|id| {
            id.read_tagged_implicit(Tag::context(unique_id), |bits| bits.read_bitvec_bytes())
        })?;
    }
    let mut contents = Contents {
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

fn instant(reader: BERReader<'_, '_>) -> ASN1Result<OffsetDateTime> {
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

/// Only permitted subtrees of names and addresses: what this does not understand, it must refuse,
/// since leaving it out would make the constraints wider than they are.
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
