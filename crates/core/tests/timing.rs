//! Tests whether the time of a comparison tells how much of a guess was right. The tests are statistical, and
//! need a release build and some seconds of one core. They are not part of `./test`: a number that noise
//! moves must not decide whether a change passes.
//!
//!     cargo test --release -p turted-core --test timing -- --ignored --nocapture
//!
//! Two kinds of guesses are compared in random order, and Welch's t of their times is taken, as dudect does
//! (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017). Above 4.5 the times differ. A
//! comparison that stops at the first difference is measured as well: if the test did not find that one, it
//! would prove nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, also in its helpers")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::hint::black_box;
use std::time::Instant;

use turted_core::auth::{Hash, TokenRule};
use turted_core::secret::Secret;

/// Measurements of each test, of both kinds together.
const MEASUREMENTS: usize = 400_000;
/// Calls in one measurement: enough that it is long compared with the resolution of the clock, 20 to 40 ns.
const CALLS: usize = 8;
/// The share of measurements that is kept: the slowest ones were interrupted.
const KEPT: f64 = 0.9;
/// dudect's threshold.
const T_MAX: f64 = 4.5;

/// Two guesses of equal length, and the function that checks them.
struct Subject<'a> {
    name: &'a str,
    guesses: [&'a str; 2],
    judge: &'a dyn Fn(&str) -> bool,
}

impl Subject<'_> {
    /// Welch's t of the times for both guesses; positive if the second takes longer.
    fn t(&self) -> f64 {
        let mut times = [Vec::with_capacity(MEASUREMENTS), Vec::with_capacity(MEASUREMENTS)];
        let mut random: u64 = 0x9E37_79B9_7F4A_7C15;
        // Both guesses are checked from the same place in memory, so that only their text differs.
        let mut place = String::with_capacity(self.guesses[0].len());
        for _ in 0..MEASUREMENTS {
            // xorshift64: the order must not follow anything that repeats at intervals.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let kind = usize::from(random & 1 == 1);
            place.clear();
            place.push_str(self.guesses[kind]);
            let began = Instant::now();
            for _ in 0..CALLS {
                black_box((self.judge)(black_box(&place)));
            }
            times[kind].push(u64::try_from(began.elapsed().as_nanos()).unwrap());
        }
        let t = welch(&times);
        println!("{:<44} t = {t:+8.2}", self.name);
        t
    }
}

/// Welch's t, without the slowest measurements of both kinds.
fn welch(times: &[Vec<u64>; 2]) -> f64 {
    let mut all: Vec<u64> = times.concat();
    all.sort_unstable();
    let longest = all[(all.len() as f64 * KEPT) as usize];
    let [a, b] = times.each_ref().map(|times| {
        let kept: Vec<f64> = times.iter().filter(|time| **time <= longest).map(|time| *time as f64).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (b.0 - a.0) / (a.1 + b.1).sqrt()
}

/// `text` with another first character, and `text` with another last one. A digit becomes a digit and a
/// letter a letter: reading a guess branches on its own characters, which the guesser knows anyway.
fn first_and_last_wrong(text: &str) -> [String; 2] {
    let other = |character: char| match character {
        '0' => '1',
        '0'..='9' => '0',
        'a' => 'b',
        _ => 'a',
    };
    let (first, last) = (text.chars().next().unwrap(), text.chars().last().unwrap());
    let (after, before) = (&text[1..], &text[..text.len() - 1]);
    [format!("{}{after}", other(first)), format!("{before}{}", other(last))]
}

const PASSWORD: &str = "correct horse battery staple correct horse battery staple xxxxx";

/// Compares as the node server did: up to the first difference.
fn stops_early(secret: &str, guess: &str) -> bool {
    secret.len() == guess.len() && secret.bytes().zip(guess.bytes()).all(|(a, b)| black_box(a) == b)
}

#[test]
#[ignore = "statistical: see the head of this file"]
fn this_test_finds_a_comparison_that_stops_early() {
    let [first, last] = first_and_last_wrong(PASSWORD);
    let judge = |guess: &str| stops_early(black_box(PASSWORD), guess);
    let t = Subject { name: "control: stops early", guesses: [&first, &last], judge: &judge }.t();
    assert!(t > 10.0 * T_MAX, "a leak is not found: {t}");
}

#[test]
#[ignore = "statistical: see the head of this file"]
fn the_time_of_a_password_tells_nothing() {
    let secret = Secret::from(PASSWORD);
    let [first, last] = first_and_last_wrong(PASSWORD);
    let judge = |guess: &str| secret.matches(guess);
    for (name, guesses) in [
        ("password: first or last character wrong", [first.as_str(), last.as_str()]),
        ("password: wrong or right", [first.as_str(), PASSWORD]),
    ] {
        let t = Subject { name, guesses, judge: &judge }.t();
        assert!(t.abs() < T_MAX, "{name}: {t}");
    }
}

#[test]
#[ignore = "statistical: see the head of this file"]
fn the_time_of_a_token_tells_nothing() {
    for (hash, name) in
        [(Hash::Md5, "md5"), (Hash::Sha1, "sha1"), (Hash::Sha256, "sha256"), (Hash::Sha512, "sha512")]
    {
        let rule = TokenRule { hash, prefix: "prefix".into(), suffix: "suffix".into() };
        let user = "alice";
        let token = rule.sign(user);
        let [first, last] = first_and_last_wrong(&token);
        let judge = |guess: &str| rule.verify(user, guess);
        for (what, guesses) in [
            ("first or last digit wrong", [first.as_str(), last.as_str()]),
            ("wrong or right", [first.as_str(), token.as_str()]),
        ] {
            let name = format!("token, {name}: {what}");
            let t = Subject { name: &name, guesses, judge: &judge }.t();
            assert!(t.abs() < T_MAX, "{name}: {t}");
        }
    }
}
