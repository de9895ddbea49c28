//! Texts of a configuration: secrets, paths of requests, and values as TOML has them.

/// A secret without the newline that `echo`, a heredoc or a secret store puts at its end.
pub(super) fn without_newline(text: &str) -> &str {
    let line = text.strip_suffix('\n').unwrap_or(text);
    line.strip_suffix('\r').unwrap_or(line)
}

pub(super) fn show_list(list: &[impl ToString]) -> String {
    let quoted: Vec<String> = list.iter().map(|item| quote(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// A path of at least one segment, with or without a slash at its end.
pub(super) fn parse_url_path(text: &str) -> Option<String> {
    let inner = text.strip_prefix('/')?;
    let segments: Vec<&str> = inner.strip_suffix('/').unwrap_or(inner).split('/').collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |part: &&str| !matches!(*part, "" | "." | "..") && part.bytes().all(plain);
    segments.iter().all(segment).then(|| text.to_owned())
}

/// A path below which everything belongs to one purpose, also the root; without the slash at its end.
pub(super) fn parse_base_path(text: &str) -> Option<String> {
    if text == "/" {
        return Some(String::new());
    }
    Some(parse_url_path(text)?.trim_end_matches('/').to_owned())
}

/// `text` as a TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
