//! `application/x-www-form-urlencoded` bodies (WHATWG URL 5.1), in which old browsers send messages.

/// The first field of `body` that begins with `name_and_sign`, `d=` say, still encoded.
pub(super) fn field<'a>(body: &'a [u8], name_and_sign: &[u8]) -> Option<&'a [u8]> {
    body.split(|&byte| byte == b'&').find_map(|field| field.strip_prefix(name_and_sign))
}

/// Decodes the value of a field. Unlike the standard, refuses a percent sign without two
/// hexadecimal digits.
pub(super) fn decode(field: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, tail) = tail.split_first_chunk()?;
                rest = tail;
                decode_hex(*digits)?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

fn decode_hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? << 4 | low?).ok()
}
