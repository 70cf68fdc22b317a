//! What time is it for the reader of the output? Time zones, and the ways to print a time.

use jiff::tz::TimeZone;
use overlay_decoder::{Timestamp, text::Text};

/// Offsets from UTC change on quarters of an hour at the finest, in every zone of the last fifty years.
const OFFSET_SPAN_SECONDS: i64 = 900;
const SECONDS_PER_DAY: i64 = 86_400;

/// How a time is printed, counted by `-t`s as tcpdump does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimeFormat {
    /// `08:12:01.123456`
    TimeOfDay,
    /// `-t`: nothing.
    None,
    /// `-tt`: `1368908505.838156`, seconds since 1970.
    Epoch,
    /// `-ttt`: time since the packet before.
    SincePrevious,
    /// `-tttt`: `2013-05-18 08:12:01.123456`
    Date,
    /// `-ttttt`: time since the first packet.
    SinceFirst,
}

impl TimeFormat {
    /// Whether the time of one packet depends on those printed before it.
    pub(crate) fn is_relative(self) -> bool {
        matches!(self, Self::SincePrevious | Self::SinceFirst)
    }
}

/// Prints times of one time zone. Its offset is looked up once per quarter of an hour of capture, not once per packet.
#[derive(Clone)]
pub(crate) struct Clock {
    format: TimeFormat,
    nanoseconds: bool,
    zone: TimeZone,
    span: Option<i64>,
    offset: i64,
    reference: Option<Timestamp>,
    /// The second of UTC whose time of day was printed last, and the text: thousands of packets share one.
    second: Option<(i64, [u8; 9])>,
}

impl Clock {
    /// A clock of the host's zone, or of UTC; with nine digits behind the second instead of six.
    pub(crate) fn new(format: TimeFormat, utc: bool, nanoseconds: bool) -> Self {
        let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
        Self { format, nanoseconds, zone, span: None, offset: 0, reference: None, second: None }
    }

    /// Writes a time with a space behind it, or nothing where none is wanted.
    #[inline(always)]
    pub(crate) fn write(&mut self, time: Option<Timestamp>, out: &mut Text) {
        // Nearly always; the digits of microseconds are all that is new.
        if let (TimeFormat::TimeOfDay, false, Some(time), Some((second, text))) = (self.format, self.nanoseconds, time, &self.second)
            && *second == time.seconds
        {
            out.bytes(text);
            out.micros(time.nanoseconds / 1000);
            return out.byte(b' ');
        }
        self.write_as(self.format, time, out);
    }

    /// Writes a time with its date, whatever format is set.
    pub(crate) fn write_date(&mut self, time: Option<Timestamp>, out: &mut Text) {
        self.write_as(TimeFormat::Date, time, out);
    }

    fn write_as(&mut self, format: TimeFormat, time: Option<Timestamp>, out: &mut Text) {
        let Some(time) = time else {
            if format != TimeFormat::None {
                out.text("- ");
            }
            return;
        };
        match format {
            TimeFormat::None => return,
            TimeFormat::TimeOfDay => {
                self.time_of_day(time, out);
            }
            TimeFormat::Date => {
                let local = self.local(time.seconds);
                date(local.div_euclid(SECONDS_PER_DAY), out);
                out.byte(b' ');
                self.time_of_day(time, out);
            }
            TimeFormat::Epoch => {
                out.signed(time.seconds);
                self.fraction(time.nanoseconds, out);
            }
            TimeFormat::SincePrevious | TimeFormat::SinceFirst => {
                let nanoseconds = time.since(*self.reference.get_or_insert(time));
                if format == TimeFormat::SincePrevious {
                    self.reference = Some(time);
                }
                self.duration(nanoseconds, out);
            }
        }
        out.byte(b' ');
    }

    #[inline]
    fn local(&mut self, seconds: i64) -> i64 {
        let span = seconds.div_euclid(OFFSET_SPAN_SECONDS);
        if self.span != Some(span) {
            self.span = Some(span);
            // Times that jiff does not reach (beyond the year 9999) are printed in UTC.
            self.offset = jiff::Timestamp::from_second(seconds).map_or(0, |time| self.zone.to_offset(time).seconds().into());
        }
        seconds.saturating_add(self.offset)
    }

    #[inline]
    fn time_of_day(&mut self, time: Timestamp, out: &mut Text) {
        let text = match self.second {
            Some((second, text)) if second == time.seconds => text,
            _ => self.second_of_day(time.seconds),
        };
        out.bytes(&text);
        self.digits(time.nanoseconds, out);
    }

    /// The text of a second of UTC as a time of day, with the point behind it.
    #[cold]
    fn second_of_day(&mut self, seconds: i64) -> [u8; 9] {
        // Below 86,400, which fits any integer.
        let second = self.local(seconds).rem_euclid(SECONDS_PER_DAY) as u32;
        let [h, m, s] = [second / 3600, second / 60 % 60, second % 60].map(|n| [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8]);
        let text = [h[0], h[1], b':', m[0], m[1], b':', s[0], s[1], b'.'];
        self.second = Some((seconds, text));
        text
    }

    #[inline]
    fn fraction(&self, nanoseconds: u32, out: &mut Text) {
        out.byte(b'.');
        self.digits(nanoseconds, out);
    }

    #[inline]
    fn digits(&self, nanoseconds: u32, out: &mut Text) {
        if self.nanoseconds {
            out.nanoseconds(nanoseconds);
        } else {
            out.micros(nanoseconds / 1000);
        }
    }

    fn duration(&self, nanoseconds: i128, out: &mut Text) {
        let total = nanoseconds.unsigned_abs();
        let (seconds, rest) = (total / 1_000_000_000, total % 1_000_000_000);
        let shown_unit = if self.nanoseconds { 1 } else { 1000 };
        if nanoseconds < 0 && total >= shown_unit {
            out.byte(b'-');
        }
        let hours = u64::try_from(seconds / 3600).unwrap_or(u64::MAX);
        if hours < 100 {
            out.pair(hours as u32);
        } else {
            out.num(hours);
        }
        out.byte(b':');
        out.pair((seconds / 60 % 60) as u32);
        out.byte(b':');
        out.pair((seconds % 60) as u32);
        self.fraction(rest as u32, out);
    }
}

/// Writes the date of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn date(days: i64, out: &mut Text) {
    let Ok(date) = i32::try_from(days).map_err(|_| ()).and_then(|days| {
        let span = jiff::Span::new().try_days(days).map_err(|_| ())?;
        jiff::civil::date(1970, 1, 1).checked_add(span).map_err(|_| ())
    }) else {
        out.text("day ");
        return out.signed(days);
    };
    out.padded(date.year().unsigned_abs().into(), 4);
    out.byte(b'-');
    out.pair(date.month().unsigned_abs().into());
    out.byte(b'-');
    out.pair(date.day().unsigned_abs().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(clock: &mut Clock, times: &[(i64, u32)]) -> Vec<String> {
        let print = |&(seconds, nanoseconds): &(i64, u32)| {
            let mut out = Text::new();
            clock.write(Some(Timestamp { seconds, nanoseconds }), &mut out);
            String::from_utf8(out.as_bytes().to_vec()).unwrap()
        };
        times.iter().map(print).collect()
    }

    #[test]
    fn each_format_prints_as_tcpdump_does() {
        let times = [(1_368_908_505, 838_156_789), (1_368_908_507, 0)];
        let print = |format| printed(&mut Clock::new(format, true, false), &times);
        assert_eq!(print(TimeFormat::TimeOfDay), ["20:21:45.838156 ", "20:21:47.000000 "]);
        assert_eq!(print(TimeFormat::None), ["", ""]);
        assert_eq!(print(TimeFormat::Epoch), ["1368908505.838156 ", "1368908507.000000 "]);
        assert_eq!(print(TimeFormat::SincePrevious), ["00:00:00.000000 ", "00:00:01.161843 "]);
        assert_eq!(print(TimeFormat::Date), ["2013-05-18 20:21:45.838156 ", "2013-05-18 20:21:47.000000 "]);
        assert_eq!(
            printed(&mut Clock::new(TimeFormat::SinceFirst, true, true), &[(5, 0), (4, 1)]),
            ["00:00:00.000000000 ", "-00:00:00.999999999 "]
        );
    }

    #[test]
    fn a_zone_with_summer_time_changes_its_offset_on_the_second() {
        let mut clock = Clock::new(TimeFormat::Date, true, false);
        clock.zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2026-03-29 01:00:00 UTC is where 02:00 becomes 03:00.
        assert_eq!(
            printed(&mut clock, &[(1_774_745_999, 0), (1_774_746_000, 0)]),
            ["2026-03-29 01:59:59.000000 ", "2026-03-29 03:00:00.000000 "]
        );
    }

    #[test]
    fn times_beyond_every_calendar_are_printed_all_the_same() {
        for seconds in [i64::MIN, -1, 0, 253_402_300_800, i64::MAX] {
            for format in [TimeFormat::TimeOfDay, TimeFormat::Date, TimeFormat::Epoch, TimeFormat::SinceFirst] {
                assert_eq!(printed(&mut Clock::new(format, true, false), &[(seconds, 0)]).len(), 1);
            }
        }
    }
}
