//! Days of the calendar: as many as front matter needs.

use std::fmt;
use std::time::SystemTime;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i64,
    month: u32,
    day: u32,
}

impl Date {
    /// The day that `YYYY-MM-DD` names, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            let digits = text.get(range)?;
            let all = digits.bytes().all(|b| b.is_ascii_digit());
            all.then(|| digits.parse().ok())?
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let date = Self {
            year: i64::from(year),
            month,
            day,
        };
        // There and back again: 30 February would come back as another day.
        ((1..=12).contains(&month)
            && (1..=31).contains(&day)
            && Self::from_days(date.days()) == date)
            .then_some(date)
    }

    /// The day of a text that names a day, and may name a time of it: `YYYY-MM-DDTHH:MM`, and more; or of the seconds or
    /// milliseconds since 1970, as some plugins write them.
    pub fn of_text(text: &str) -> Option<Self> {
        if let Ok(count) = text.parse::<u64>()
            && let Some(seconds) = match text.len() {
                10 => Some(count),
                13 => Some(count / 1000),
                _ => None,
            }
        {
            return Some(Self::from_days(i64::try_from(seconds / 86400).ok()?));
        }
        let day = Self::parse(text.get(..10)?)?;
        let rest = &text[10..];
        let Some(time) = rest.strip_prefix(['T', 't', ' ']) else {
            return rest.is_empty().then_some(day);
        };
        let is_time = time.bytes().enumerate().all(|(at, b)| match at {
            0 | 1 | 3 | 4 => b.is_ascii_digit(),
            2 => b == b':',
            _ => b.is_ascii_digit() || b":.+-Zz ".contains(&b),
        });
        let number = |at: usize| {
            time.get(at..at + 2)
                .and_then(|digits| digits.parse::<u32>().ok())
        };
        let is_real =
            number(0).is_some_and(|hour| hour < 24) && number(3).is_some_and(|minute| minute < 60);
        (is_time && is_real).then_some(day)
    }

    /// The day of a time, in UTC; of one before 1970 that year's first.
    pub fn of(time: SystemTime) -> Self {
        let seconds = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self::from_days(i64::try_from(seconds / 86400).unwrap_or(0))
    }

    /// Days since 1 January 1970.
    pub fn days(self) -> i64 {
        // Years begin in March, so that a leap day comes last.
        let year = self.year - i64::from(self.month <= 2);
        let month = i64::from((self.month + 9) % 12);
        let era = year.div_euclid(400);
        let year = year.rem_euclid(400);
        let day = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
    }

    fn from_days(days: i64) -> Self {
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = u32::try_from(day - (153 * month + 2) / 5 + 1).unwrap_or(1);
        let month = u32::try_from((month + 2) % 12 + 1).unwrap_or(1);
        Self {
            year: era * 400 + year + i64::from(month <= 2),
            month,
            day,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_and_are_not() {
        for text in [
            "2026-02-28",
            "2024-02-29",
            "2000-02-29",
            "1970-01-01",
            "2026-12-31",
        ] {
            assert_eq!(Date::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2026-13-45",
            "2026-00-10",
            "2026-04-31",
            "26-01-01",
            "2026-1-1",
            "2026/01/01",
            "2026-01-01T00",
            "",
            "2026-+1-01",
            "２026-01-01",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_with_a_time() {
        for text in [
            "2026-02-28",
            "2026-02-28T10:00",
            "2026-02-28 10:00:59.1 +01:00",
        ] {
            assert_eq!(Date::of_text(text).unwrap().to_string(), "2026-02-28");
        }
        for text in [
            "2026-02-30T10:00",
            "2026-02-28 a",
            "2026-02-28T",
            "2026-02-28x",
            "é",
        ] {
            assert_eq!(Date::of_text(text), None, "{text}");
        }
    }

    #[test]
    fn days_since_1970() {
        assert_eq!(Date::parse("1970-01-01").unwrap().days(), 0);
        assert_eq!(Date::parse("2026-11-24").unwrap().days(), 20781);
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(20781 * 86400 + 5);
        assert_eq!(Date::of(time).to_string(), "2026-11-24");
    }

    proptest::proptest! {
        #[test]
        fn there_and_back(days in -700_000_i64..2_900_000) {
            assert_eq!(Date::from_days(days).days(), days);
        }
    }
}
