//! Have the header and varpd the same layout? A program in C prints sizes and places, which are those of the types in Rust.

use overlay_varpd::abi::raw::*;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

macro_rules! layouts {
    ($($name:ident { $($field:ident),+ })+) => {
        /// Lines as the program in C prints them, and the statements of it that do.
        fn layouts() -> (Vec<String>, String) {
            let (mut lines, mut statements) = (Vec::new(), String::new());
            $(
                lines.push(format!("{} {}", stringify!($name), size_of::<$name>()));
                statements += &format!("printf(\"{0} %zu\\n\", sizeof(struct {0}));\n", stringify!($name));
                $(
                    lines.push(format!("{}.{} {}", stringify!($name), stringify!($field), offset_of!($name, $field)));
                    statements += &format!("printf(\"{0}.{1} %zu\\n\", offsetof(struct {0}, {1}));\n", stringify!($name), stringify!($field));
                )+
            )+
            (lines, statements)
        }
    };
}

layouts! {
    varpd_ul3 { ip, port, zero }
    varpd_property { size, kind, name, doc, default_value, choices, min, max, required, zero }
    varpd_overlay { size, vnetid, name, encapsulation, destinations, mtu }
    varpd_vnic { size, mac, zero, name }
    varpd_lookup { size, vnetid, source, destination, ethertype, vlan, length, frame_length, frame, deadline_ms }
    varpd_host {
        size, version, reply_reach, reply_drop, reply_inject, reply_resend, inject, resend, set_target, invalidate, flush, degrade, restore,
        log, vnetid
    }
    varpd_plugin {
        size, version, name, destinations, property_count, properties, create, set_property, restore, start, stop, destroy, lookup, arp, ndp,
        dhcp, vnic_added, vnic_removed, save
    }
}

#[test]
fn the_header_has_the_layout_that_varpd_has() {
    let (mut expected, statements) = layouts();
    let numbers: &[(&str, i64)] = &[
        ("VARPD_PLUGIN_VERSION", VARPD_PLUGIN_VERSION.into()),
        ("VARPD_CLOSED", VARPD_CLOSED.into()),
        ("VARPD_INVALID", VARPD_INVALID.into()),
        ("VARPD_UNKNOWN", VARPD_UNKNOWN.into()),
        ("VARPD_PROXY", VARPD_PROXY.into()),
        ("VARPD_DESTINATION_IP", VARPD_DESTINATION_IP.into()),
        ("VARPD_DESTINATION_IP_PORT", VARPD_DESTINATION_IP_PORT.into()),
        ("VARPD_UINT", VARPD_UINT.into()),
        ("VARPD_IP", VARPD_IP.into()),
        ("VARPD_CHOICE", VARPD_CHOICE.into()),
        ("VARPD_TEXT", VARPD_TEXT.into()),
        ("VARPD_VLAN_NONE", VARPD_VLAN_NONE.into()),
        ("VARPD_DESTINATIONS_MAX", VARPD_DESTINATIONS_MAX as i64),
        ("VARPD_PROBLEM_MAX", VARPD_PROBLEM_MAX as i64),
        ("VARPD_SAVE_MAX", VARPD_SAVE_MAX as i64),
        ("VARPD_TTL_DEFAULT", VARPD_TTL_DEFAULT as i64),
    ];
    let mut all = statements;
    for (name, value) in numbers {
        expected.push(format!("{name} {value}"));
        all += &format!("printf(\"{name} %lld\\n\", (long long){name});\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("layout.c"), folder.path().join("layout"));
    std::fs::write(&source, format!("#include <stdio.h>\n#include <varpd_plugin.h>\nint main(void)\n{{\n{all}return 0;\n}}\n")).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let compiled =
        Command::new("cc").args(["-std=c11", "-Wall", "-Werror", "-I"]).arg(include).arg("-o").args([&program, &source]).status();
    assert!(compiled.unwrap().success());
    let printed = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}
