//! E-mail addresses and mobile numbers for finding a user.

use crate::error::{Error, Result};
use crate::ids::Personal;

/// The longest e-mail address (RFC 5321, section 4.5.3.1.3: a path of 256 with its brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// The most digits of a number with its country code (E.164).
const MAX_DIGITS: usize = 15;
/// Fewer digits are no number.
const MIN_DIGITS: usize = 5;
/// The country code of numbers without one: the platform takes them for Chinese ones.
const HOME: &str = "+86";

/// An address of a user, in the normal form in which it is sent and compared.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Contact {
    /// An e-mail address, in lower case.
    Email(Personal),
    /// A mobile number: `+`, country code, digits.
    Mobile(Personal),
}

impl Contact {
    /// `text` as an e-mail address.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `email`.
    pub fn email(text: &str) -> Result<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let has_both_sides = text
            .rsplit_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !is_plain || !has_both_sides || text.len() > MAX_EMAIL_BYTES {
            return Err(Error::invalid(
                "email",
                "must be an e-mail address: name@host, at most 254 characters, none of them a space",
            ));
        }
        Ok(Self::Email(Personal::new(text.to_ascii_lowercase())))
    }

    /// `text` as a mobile number. Spaces and hyphens are removed.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field `mobile`.
    pub fn mobile(text: &str) -> Result<Self> {
        let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let digits = plain.strip_prefix('+').unwrap_or(&plain);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) || text.len() > 32 {
            return Err(Error::invalid(
                "mobile",
                "must be a mobile number: `+`, the country code and the rest, 5 to 15 digits; without `+` it is a Chinese one",
            ));
        }
        let country = if plain.starts_with('+') { "+" } else { HOME };
        Ok(Self::Mobile(Personal::new(format!("{country}{digits}"))))
    }

    /// The address itself. Not for logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Email(text) | Self::Mobile(text) => text.reveal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let same = |a: Result<Contact>, b: Result<Contact>| {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!(a, b);
        };
        same(
            Contact::email("Jane@Example.com"),
            Contact::email("jane@example.com"),
        );
        same(
            Contact::mobile("+86 138-0000-0042"),
            Contact::mobile("13800000042"),
        );
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for bad in [
            "",
            "jane",
            "@host",
            "jane@",
            "j ane@host",
            "jäne@host",
            &"x@".repeat(200),
        ] {
            let refused = Contact::email(bad).unwrap_err().to_string();
            assert!(refused.contains("e-mail address"), "{bad}: {refused}");
        }
        for bad in [
            "",
            "+",
            "123",
            "12a45",
            "+1234567890123456",
            "++8613800000042",
        ] {
            assert!(Contact::mobile(bad).is_err(), "{bad}");
        }
    }
}
