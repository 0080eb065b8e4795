//! The operations of multipart uploads.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use serde_json::{Value, json};

use super::listing::Listing;
use super::objects::{checksums, header_tags, headers, insert, quoted, show_checksums};
use super::rules;
use super::state::{
    Content, Part, Upload, bucket, bucket_mut, checksum_of, drawn, etag_of, keep, optional, owner,
    release, seconds, text,
};
use crate::world::{AwsError, Cx, Outcome, World};

pub(super) fn create(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let key = text(input, "Key").to_owned();
    let bucket = bucket(world, input)?;
    rules::key_is_short_enough(&key)?;
    rules::object_acl_fits_ownership(bucket, optional(input, "ACL"))?;
    let headers = headers(bucket, input);
    let tags = header_tags(input)?;
    let label = format!("s3/upload/{}/{key}", text(input, "Bucket"));
    let id = drawn(world, &label, 64);
    let algorithm = optional(input, "ChecksumAlgorithm").map(str::to_owned);
    let usual = algorithm.as_ref().map(|_| "COMPOSITE".to_owned());
    let kind = optional(input, "ChecksumType").map(str::to_owned).or(usual);
    let mut out = json!({ "Bucket": input["Bucket"], "Key": key, "UploadId": id,
        "ServerSideEncryption": headers["ServerSideEncryption"] });
    if let (Some(algorithm), Some(kind)) = (&algorithm, &kind) {
        out["ChecksumAlgorithm"] = json!(algorithm);
        out["ChecksumType"] = json!(kind);
    }
    let upload = Upload {
        id: id.clone(),
        key,
        initiated: cx.now,
        headers,
        tags,
        checksum_algorithm: algorithm,
        checksum_type: kind,
        parts: BTreeMap::new(),
    };
    bucket_mut(world, input)?.uploads.insert(id, upload);
    Ok(out.into())
}

pub(super) fn upload_part(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let number = input.get("PartNumber").and_then(Value::as_u64).unwrap_or_default();
    rules::part_number_is_in_range(number)?;
    let upload = rules::upload_exists(bucket(world, input)?, input)?;
    rules::digests_match(input, &cx.body)?;
    let encryption = upload.headers["ServerSideEncryption"].clone();
    let part = Part {
        sha256: keep(world, &cx.body),
        etag: etag_of(&cx.body),
        size: cx.body.len() as u64,
        checksums: checksums(input),
        modified: cx.now,
    };
    let mut out = json!({ "ETag": quoted(&part.etag), "ServerSideEncryption": encryption });
    for (member, value) in &part.checksums {
        out[member] = json!(value);
    }
    let uploads = &mut bucket_mut(world, input)?.uploads;
    let upload = uploads.get_mut(text(input, "UploadId")).expect("it was just found");
    let replaced = upload.parts.insert(number, part);
    release(world, replaced.map(|part| part.sha256));
    Ok(out.into())
}

/// The checksum of the whole, as the upload was begun with: of the bytes, or of the checksums of the parts.
fn whole_checksum(upload: &Upload, parts: &[Part], bytes: &[u8]) -> Option<(String, String)> {
    let member = format!("Checksum{}", upload.checksum_algorithm.as_ref()?);
    if upload.checksum_type.as_deref() == Some("FULL_OBJECT") {
        return Some((member.clone(), checksum_of(&member, bytes)?));
    }
    let mut all = Vec::new();
    for part in parts {
        all.extend(BASE64.decode(part.checksums.get(&member)?).ok()?);
    }
    let value = format!("{}-{}", checksum_of(&member, &all)?, parts.len());
    Some((member, value))
}

pub(super) fn complete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let upload = rules::upload_exists(bucket, input)?.clone();
    rules::conditions_are_known(input)?;
    let listed = input.get("MultipartUpload").and_then(|upload| upload.get("Parts"));
    let listed: Vec<(u64, &Value)> = listed
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|part| (part.get("PartNumber").and_then(Value::as_u64).unwrap_or_default(), part))
        .collect();
    if listed.is_empty() {
        return Err(rules::malformed_xml());
    }
    rules::parts_are_in_order(&listed.iter().map(|(number, _)| *number).collect::<Vec<_>>())?;
    let parts = rules::parts_are_there(&upload, &listed)?;
    rules::parts_are_large_enough(&parts)?;
    rules::precondition_holds(bucket, &upload.key, input)?;
    rules::no_rival_is_in_flight(&mut world.state.s3, input)?;

    let parts: Vec<Part> = parts.into_iter().cloned().collect();
    let mut bytes = BytesMut::new();
    let mut digests = Vec::new();
    for part in &parts {
        let missing = || AwsError::new("InternalError", "a part is not in the store").status(500);
        let blob = world.blobs.get(&part.sha256).ok_or_else(missing)?;
        bytes.extend_from_slice(blob);
        digests.extend(super::state::md5_of(blob));
    }
    let bytes = bytes.freeze();
    let checksum = whole_checksum(&upload, &parts, &bytes);
    if upload.checksum_type.as_deref() == Some("FULL_OBJECT") {
        rules::digests_match(input, &bytes)?;
    }
    let content = Content {
        sha256: keep(world, &bytes),
        etag: format!("{}-{}", etag_of(&digests), parts.len()),
        size: bytes.len() as u64,
        checksums: checksum.into_iter().collect(),
        checksum_type: upload.checksum_type.clone().unwrap_or_else(|| "COMPOSITE".into()),
        headers: upload.headers.clone(),
        tags: upload.tags.clone(),
    };
    let name = text(input, "Bucket");
    let location =
        format!("https://{name}.s3.{}.amazonaws.com/{}", world.settings.region, upload.key);
    let mut out = json!({ "Bucket": name, "Key": upload.key, "ETag": quoted(&content.etag),
        "Location": location, "ServerSideEncryption": content.headers["ServerSideEncryption"] });
    show_checksums(&mut out, &content);
    if let Some(id) = insert(world, cx, input, Some(content))? {
        out["VersionId"] = json!(id);
    }
    remove(world, input)?;
    Ok(out.into())
}

/// Ends an upload and drops its parts.
fn remove(world: &mut World, input: &Value) -> Result<(), AwsError> {
    let upload = bucket_mut(world, input)?.uploads.remove(text(input, "UploadId"));
    let parts = upload.into_iter().flat_map(|upload| upload.parts.into_values());
    release(world, parts.map(|part| part.sha256).collect::<Vec<_>>());
    Ok(())
}

pub(super) fn abort(world: &mut World, input: &Value) -> Outcome {
    rules::upload_exists(bucket(world, input)?, input)?;
    remove(world, input)?;
    Ok(json!({}).into())
}

pub(super) fn list_uploads(world: &World, input: &Value) -> Outcome {
    let bucket = bucket(world, input)?;
    let listing = Listing::new(input, "MaxUploads")?;
    let markers = (text(input, "KeyMarker"), text(input, "UploadIdMarker"));
    let mut uploads: Vec<&Upload> = bucket.uploads.values().collect();
    uploads.sort_by_key(|upload| (&upload.key, upload.initiated, &upload.id));
    // Behind the marked upload; if that is gone, behind its key.
    let marked = |upload: &&Upload| upload.key == markers.0 && upload.id == markers.1;
    let start = match uploads.iter().position(marked) {
        Some(at) => at + 1,
        None => uploads.iter().filter(|upload| upload.key.as_str() <= markers.0).count(),
    };
    let (mut shown, mut prefixes): (Vec<Value>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut last, mut truncated) = (None, false);
    for upload in uploads.into_iter().skip(start) {
        if !listing.has(&upload.key) {
            continue;
        }
        let common = listing.folded(&upload.key);
        if common.is_some_and(|common| prefixes.last() == Some(&common) || common <= markers.0) {
            continue;
        }
        if shown.len() + prefixes.len() == listing.most {
            truncated = listing.most > 0;
            break;
        }
        if let Some(common) = common {
            last = Some((common, ""));
            prefixes.push(common);
        } else {
            last = Some((upload.key.as_str(), upload.id.as_str()));
            shown.push(json!({ "Key": listing.key(&upload.key), "UploadId": upload.id,
                "Initiated": seconds(upload.initiated), "StorageClass": "STANDARD",
                "Owner": owner(world), "Initiator": owner(world) }));
        }
    }
    let mut out = json!({ "Bucket": bucket.name, "KeyMarker": listing.key(markers.0),
        "UploadIdMarker": markers.1, "MaxUploads": listing.most, "IsTruncated": truncated });
    listing.repeat(&mut out, &["Prefix", "Delimiter"]);
    if let (true, Some((key, id))) = (truncated, last) {
        out["NextKeyMarker"] = listing.key(key);
        out["NextUploadIdMarker"] = json!(id);
    }
    if !shown.is_empty() {
        out["Uploads"] = json!(shown);
    }
    if !prefixes.is_empty() {
        out["CommonPrefixes"] =
            prefixes.iter().map(|prefix| json!({ "Prefix": listing.key(prefix) })).collect();
    }
    Ok(out.into())
}

pub(super) fn list_parts(world: &World, input: &Value) -> Outcome {
    let upload = rules::upload_exists(bucket(world, input)?, input)?;
    let most = Listing::new(input, "MaxParts")?.most;
    let after = input.get("PartNumberMarker").and_then(Value::as_u64).unwrap_or_default();
    let rest: Vec<(&u64, &Part)> = upload.parts.range(after + 1..).collect();
    let truncated = rest.len() > most;
    let parts: Vec<Value> = rest
        .iter()
        .take(most)
        .map(|(number, part)| {
            let mut entry = json!({ "PartNumber": number, "LastModified": seconds(part.modified),
                "ETag": quoted(&part.etag), "Size": part.size });
            for (member, value) in &part.checksums {
                entry[member] = json!(value);
            }
            entry
        })
        .collect();
    let mut out = json!({ "Bucket": input["Bucket"], "Key": upload.key, "UploadId": upload.id,
        "PartNumberMarker": after, "MaxParts": most, "IsTruncated": truncated,
        "StorageClass": "STANDARD", "Owner": owner(world), "Initiator": owner(world) });
    if let Some((number, _)) = rest.get(most.wrapping_sub(1)).filter(|_| truncated) {
        out["NextPartNumberMarker"] = json!(number);
    }
    if !parts.is_empty() {
        out["Parts"] = json!(parts);
    }
    Ok(out.into())
}
