//! `Turted-Signature: t=SECONDS,v1=HEX`: HMAC-SHA256 of the time, a full stop and the body.

use std::fmt::Write as _;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use turted_core::secret::Secret;

/// The name of the header.
pub(super) const HEADER: &str = "turted-signature";

/// The header for a body that is sent at this time, with one `v1` for each secret.
pub(super) fn sign(secrets: &[Secret], seconds: u64, body: &[u8]) -> String {
    let mut header = format!("t={seconds}");
    for secret in secrets {
        let mut context = Context::with_key(&Key::new(HMAC_SHA256, secret.reveal().as_bytes()));
        context.update(format!("{seconds}.").as_bytes());
        context.update(body);
        header.push_str(",v1=");
        for byte in context.sign().as_ref() {
            // Writing into a `String` cannot fail.
            let _ = write!(header, "{byte:02x}");
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in a row of the table of the test vector.
    fn vector(name: &str) -> &'static str {
        let docs = include_str!("../../../../docs/hooks.md");
        let start = format!("| {name} | `");
        let row = docs.lines().find_map(|line| line.strip_prefix(&*start));
        row.expect("a row").strip_suffix("` |").expect("one value")
    }

    #[test]
    fn the_signature_is_the_one_that_the_documentation_shows() {
        let secrets = ["first secret", "second secret"].map(|name| Secret::from(vector(name)));
        let seconds = vector("`t`").parse().unwrap();
        assert_eq!(sign(&secrets, seconds, vector("body").as_bytes()), vector("header"));
    }
}
