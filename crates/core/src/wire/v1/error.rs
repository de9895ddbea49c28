//! Why a request is refused: a code for programs, a reason and the rule for people.

use std::borrow::Cow;

use crate::auth::IdentRefusal;
use crate::channel::JoinRefusal;
use crate::command::CommandRefusal;
use crate::presence::PresenceRefusal;
use crate::registry::MembershipRefusal;

/// Why a request is refused.
///
/// ```
/// use turted_core::command::CommandRefusal;
/// use turted_core::wire::v1::{Error, ErrorCode};
/// let error = Error::from(CommandRefusal::ChannelMissing);
/// assert_eq!((error.code.as_str(), &*error.reason), ("channel-missing", "channel missing"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which rule is broken.
    pub code: ErrorCode,
    /// What is wrong with this request. The text may change; programs compare the code.
    pub reason: Cow<'static, str>,
}

impl Error {
    /// An error with its reason, which the client sees.
    #[must_use]
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub(super) fn duplicate_key(name: &str) -> Self {
        Self::new(ErrorCode::DuplicateKey, format!("duplicate key {name}"))
    }
}

impl From<CommandRefusal> for Error {
    fn from(refusal: CommandRefusal) -> Self {
        let code = match refusal {
            CommandRefusal::Unknown | CommandRefusal::MessageNotAString => ErrorCode::CommandUnknown,
            CommandRefusal::DataMissing => ErrorCode::DataMissing,
            CommandRefusal::DataNotAnObject => ErrorCode::DataNotAnObject,
            CommandRefusal::TooDeep => ErrorCode::DataTooDeep,
            CommandRefusal::DuplicateKey(_) => ErrorCode::DuplicateKey,
            CommandRefusal::ChannelMissing => ErrorCode::ChannelMissing,
            CommandRefusal::ChannelNotAString | CommandRefusal::Channel(_) => ErrorCode::ChannelInvalid,
            CommandRefusal::History | CommandRefusal::Since => ErrorCode::HistoryInvalid,
            CommandRefusal::Presence => ErrorCode::PresenceInvalid,
            CommandRefusal::UserNotAString | CommandRefusal::User(_) => ErrorCode::UserInvalid,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<IdentRefusal> for Error {
    fn from(refusal: IdentRefusal) -> Self {
        let code = match refusal {
            IdentRefusal::UserMissing => ErrorCode::UserMissing,
            IdentRefusal::NotVerified => ErrorCode::IdentRefused,
            IdentRefusal::Expired => ErrorCode::TokenExpired,
            IdentRefusal::Unavailable => ErrorCode::IdentUnavailable,
            IdentRefusal::TooManyWrong => ErrorCode::TooManyWrongIdents,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<JoinRefusal> for Error {
    fn from(refusal: JoinRefusal) -> Self {
        Self::new(ErrorCode::JoinRefused, refusal.to_string())
    }
}

impl From<PresenceRefusal> for Error {
    fn from(refusal: PresenceRefusal) -> Self {
        let code = match refusal {
            PresenceRefusal::NotAllowed | PresenceRefusal::NotMember => ErrorCode::PresenceRefused,
            PresenceRefusal::TooOften => ErrorCode::PresenceTooOften,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<MembershipRefusal> for Error {
    fn from(refusal: MembershipRefusal) -> Self {
        let code = match refusal {
            MembershipRefusal::TooManyChannels(_) => ErrorCode::TooManyChannels,
            MembershipRefusal::TooManyUsers(_) => ErrorCode::TooManyUsers,
        };
        Self::new(code, refusal.to_string())
    }
}

/// The table of codes: each variant with its code and its rule.
macro_rules! error_codes {
    ($($variant:ident $code:literal $rule:literal)*) => {
        /// Which rule a request breaks. Codes never change; new ones may be added.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $code, "`: ", $rule, ".")] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of `docs/protocol-v1.md`.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code in kebab case, for programs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The rule in words, without characters that JSON escapes.
            #[must_use]
            pub fn rule(self) -> &'static str {
                match self { $(Self::$variant => $rule,)* }
            }
        }
    };
}

error_codes! {
    NotJson "not-json" "a message is one JSON text"
    NotAnObject "not-an-object" "a message is a JSON object"
    DuplicateKey "duplicate-key" "each member that the protocol names is given at most once"
    IdInvalid "id-invalid" "id is a string or a number of at most 128 bytes as written, or null"
    IdMissing "id-missing" "resume has an id, so that its reply can be told apart"
    CommandMissing "command-missing" "do is a string and names a command"
    CommandUnknown "command-unknown" "do is one of ident, join, leave, presence, echo, ping and resume"
    DataMissing "data-missing" "ident has data"
    DataNotAnObject "data-not-an-object" "the data of ident are an object"
    DataTooDeep "data-too-deep" "the data of ident are nested at most 128 deep"
    ChannelMissing "channel-missing" "join, leave and presence have a channel that is not empty"
    ChannelInvalid "channel-invalid" "channel is a string of 1 to 255 bytes without control characters"
    ChannelsInvalid "channels-invalid" "channels is a list of 1 to 128 strings, in place of channel"
    HistoryInvalid "history-invalid" "history is a whole number from 0 to 1000, and since a cursor or a position"
    PresenceInvalid "presence-invalid" "presence is true or false"
    UserMissing "user-missing" "the data of ident name a user as username or user"
    UserInvalid "user-invalid" "a user is an integer or a string of 1 to 255 bytes without control characters"
    IdentRefused "ident-refused" "ident proves who the user is, as the authenticator of the server asks (auth.method)"
    TokenExpired "token-expired" "a token is good until it expires"
    IdentUnavailable "ident-unavailable" "the authenticator can be reached"
    TooManyWrongIdents "too-many-wrong-idents" "an address sends no more wrong IDENTs than limits.wrong_idents allows"
    JoinRefused "join-refused" "the rule of a channel (`[[channels]]`) says who may join it"
    PresenceRefused "presence-refused" "the rule of a channel has `presence = true`, and only members of the channel ask"
    PresenceTooOften "presence-too-often" "a connection asks once a second who is present"
    TooManyChannels "too-many-channels" "a connection joins no more channels than limits.channels_per_connection"
    TooManyUsers "too-many-users" "a connection has no more users than limits.users_per_connection"
    SessionInvalid "session-invalid" "session is the one that welcome gave"
    CursorInvalid "cursor-invalid" "cursor is one that welcome, an event or the reply to ping gave"
    SessionUnknown "session-unknown" "a session is kept for a limited time after its connection broke"
    SessionOwn "session-own" "a session is resumed on another connection than its own"
    Gap "gap" "what a session missed is replayed only if all of it is still kept"
    RateLimited "rate-limited" "a connection sends no more than limits.message_rate and limits.message_burst allow"
}
