//! How does a declaration become probes? One macro makes the provider, its functions and its part of the catalogue.

use std::fmt::{Display, Write};

/// Declares a provider. A probe is its name for tracers, its function here, and the same with `__` for `-`, which is how `usdt`
/// spells it; `str` is a text. A test compares the spellings.
///
/// ```text
/// provider! { overlay;
///     /// A frame went no further.
///     "tx-drop" tx_drop tx__drop(vni: u32 = "virtual network", reason: str = "why")
///         "usdt:*:overlay:tx-drop { @[str(arg1)] = count(); }"
/// }
/// ```
macro_rules! provider {
    ($provider:ident; $(
        #[doc = $fires:literal]
        $name:literal $function:ident $usdt:ident($($argument:ident: $kind:ident = $meaning:literal),+ $(,)?)
            $example:literal
    )+) => {
        // The attribute reads the signatures and puts macros in their place.
        #[cfg(not(feature = "off"))]
        #[usdt::provider]
        mod $provider {
            $(fn $usdt($($argument: $kind),+) {})+
        }

        $(
            #[doc = $fires]
            #[doc = ""]
            $(#[doc = concat!("- `", stringify!($argument), "`: ", $meaning)])+
            #[inline(always)]
            pub fn $function($($argument: provider!(@argument $kind)),+) {
                // The cold call moves the whole of what a watcher costs out of the way of those whom nobody watches. `move`, and
                // texts by value: a reference would have every argument written to the stack before the probe knows whether
                // anybody watches, which costs several times what the probe itself does.
                #[cfg(not(feature = "off"))]
                $provider::$usdt!(move || {
                    $crate::provider::watched();
                    ($(provider!(@value $kind $argument)),+)
                });
                #[cfg(feature = "off")]
                let _ = ($($argument),+);
            }
        )+

        pub(crate) const PROBES: &[$crate::Probe] = &[$($crate::Probe {
            provider: stringify!($provider),
            name: $name,
            fires: $fires.trim_ascii(),
            arguments: &[$($crate::Argument {
                name: stringify!($argument),
                kind: provider!(@kind $kind),
                meaning: $meaning,
            }),+],
            example: $example,
        }),+];

        #[cfg(test)]
        mod spelling {
            #[test]
            fn a_probe_has_one_name_in_three_spellings() {
                $(
                    assert_eq!(stringify!($function).replace('_', "-"), $name);
                    assert_eq!(stringify!($usdt).replace("__", "-"), $name);
                )+
            }
        }
    };

    (@argument str) => { impl std::fmt::Display };
    (@argument $integer:ident) => { $integer };

    (@value str $argument:ident) => { $crate::provider::text($argument) };
    (@value $integer:ident $argument:ident) => { $argument };

    (@kind u8) => { $crate::Kind::U8 };
    (@kind u16) => { $crate::Kind::U16 };
    (@kind u32) => { $crate::Kind::U32 };
    (@kind u64) => { $crate::Kind::U64 };
    (@kind str) => { $crate::Kind::Text };
}

/// Tells the compiler that what is about it seldom runs.
#[cold]
#[inline(never)]
#[cfg(not(feature = "off"))]
pub(crate) fn watched() {}

/// A text for a watcher. A part that cannot be displayed is left out: a probe is no reason to fail.
#[cold]
#[inline(never)]
#[cfg_attr(feature = "off", allow(dead_code, reason = "nobody can watch"))]
pub(crate) fn text(shown: impl Display) -> String {
    let mut text = String::new();
    let _ = write!(text, "{shown}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Half;

    impl Display for Half {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("half of it")?;
            Err(std::fmt::Error)
        }
    }

    #[test]
    fn what_can_be_displayed_is_shown_and_the_rest_does_no_harm() {
        assert_eq!(text(format_args!("{}:{}", "10.0.0.2", 4789)), "10.0.0.2:4789");
        assert_eq!(text(Half), "half of it");
        assert_eq!(text(""), "");
    }
}
