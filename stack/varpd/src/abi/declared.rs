//! What does a plugin declare, and can that be?

use super::raw::{
    VARPD_CHOICE, VARPD_DESTINATION_IP, VARPD_DESTINATION_IP_PORT, VARPD_IP, VARPD_PLUGIN_VERSION, VARPD_TEXT, VARPD_UINT, varpd_plugin,
    varpd_property,
};
use overlay_api::ModuleName;
use overlay_api::channel::{Declaration, DeclaredKind, PluginInfo};
use std::ffi::c_char;

/// Properties that a plugin has at most: with [`TEXT_MAX`] they fit a packet to overlayd.
const PROPERTIES_MAX: u32 = 32;
/// Bytes of a description, and of all words of a choice.
const TEXT_MAX: usize = 600;
/// Bytes of a property's name.
const NAME_MAX: usize = 64;
/// Bytes of a value.
const VALUE_MAX: u64 = 4096;
/// Bytes of a struct, of whatever version.
const STRUCT_MAX: u32 = 65_536;

/// Bytes of a declaration as it is told to overlayd, and of all that a varpd has together: they are in one packet, with the hello around them.
pub const DECLARED_MAX: usize = 60_000;

/// Reads what `varpd_plugin_register` has returned.
pub(super) fn read(plugin: *const varpd_plugin) -> Result<(varpd_plugin, PluginInfo), String> {
    if plugin.is_null() {
        return Err("it refuses: varpd_plugin_register returned NULL".to_owned());
    }
    // SAFETY: not null; the header demands a plugin of that version or a later one, and every version begins with these two numbers.
    let (size, version) =
        unsafe { (std::ptr::addr_of!((*plugin).size).read_unaligned(), std::ptr::addr_of!((*plugin).version).read_unaligned()) };
    if version != VARPD_PLUGIN_VERSION {
        return Err(format!("it speaks version {version} of the plugin interface; version {VARPD_PLUGIN_VERSION} is spoken here"));
    }
    check_size("struct varpd_plugin", size, size_of::<varpd_plugin>())?;
    // SAFETY: it has at least that many bytes, as it says.
    let plugin = unsafe { plugin.read_unaligned() };
    let name = text(plugin.name, 64, "its name")?.ok_or("it has no name")?;
    let name: ModuleName = name.parse().map_err(|error| format!("its name {error}"))?;
    let kinds = plugin.destinations;
    if kinds == 0 || kinds & !(VARPD_DESTINATION_IP | VARPD_DESTINATION_IP_PORT) != 0 {
        return Err(format!(
            "its kinds of destinations are {kinds:#x}; {VARPD_DESTINATION_IP}, {VARPD_DESTINATION_IP_PORT} or both are allowed"
        ));
    }
    for (call, is_there) in
        [("create", plugin.create.is_some()), ("destroy", plugin.destroy.is_some()), ("lookup", plugin.lookup.is_some())]
    {
        if !is_there {
            return Err(format!("it has no call {call}, which every plugin has"));
        }
    }
    let properties = properties(&plugin, &name)?;
    if !properties.is_empty() && plugin.set_property.is_none() {
        return Err(format!("it declares {} properties and has no call set_property to be told them", properties.len()));
    }
    let with = |kind| kinds & kind != 0;
    let info = PluginInfo { name, with_port: with(VARPD_DESTINATION_IP_PORT), without_port: with(VARPD_DESTINATION_IP), properties };
    let length = serde_json::to_vec(&info).map_or(usize::MAX, |text| text.len());
    if length > DECLARED_MAX {
        return Err(format!("its declaration has {length} bytes as JSON; at most {DECLARED_MAX} are allowed"));
    }
    Ok((plugin, info))
}

fn check_size(what: &str, size: u32, least: usize) -> Result<(), String> {
    if (size as usize) < least || size > STRUCT_MAX {
        return Err(format!(
            "its {what} says that it has {size} bytes; in version {VARPD_PLUGIN_VERSION} it has {least}, and later at most {STRUCT_MAX}"
        ));
    }
    Ok(())
}

fn properties(plugin: &varpd_plugin, name: &ModuleName) -> Result<Vec<Declaration>, String> {
    let count = plugin.property_count;
    if count > PROPERTIES_MAX {
        return Err(format!("it declares {count} properties; at most {PROPERTIES_MAX} are allowed"));
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    if plugin.properties.is_null() {
        return Err(format!("it declares {count} properties, and they are NULL"));
    }
    let mut found: Vec<Declaration> = Vec::new();
    let mut stride = 0;
    for index in 0..count as usize {
        // SAFETY: the header demands an array of `count`, all of the size of the first, which was read before the second is.
        let property = unsafe { plugin.properties.byte_add(index * stride) };
        // SAFETY: the same; each begins with its size.
        let size = unsafe { std::ptr::addr_of!((*property).size).read_unaligned() };
        check_size(&format!("struct varpd_property number {}", index + 1), size, size_of::<varpd_property>())?;
        if index > 0 && size as usize != stride {
            return Err(format!("its properties have different sizes, {stride} and {size} bytes; an array has one"));
        }
        stride = size as usize;
        // SAFETY: it has at least that many bytes, as it says.
        let declared =
            declaration(&unsafe { property.read_unaligned() }, name).map_err(|why| format!("its property number {}: {why}", index + 1))?;
        if found.iter().any(|other| other.name == declared.name) {
            return Err(format!("it declares property {} twice", declared.name));
        }
        found.push(declared);
    }
    Ok(found)
}

fn declaration(property: &varpd_property, plugin: &ModuleName) -> Result<Declaration, String> {
    let name = text(property.name, NAME_MAX, "its name")?.ok_or("it has no name")?;
    let own = name.strip_prefix(plugin.as_str()).and_then(|rest| rest.strip_prefix('/'));
    let good = |own: &str| !own.is_empty() && own.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if !own.is_some_and(good) {
        return Err(format!("its name is {name:?}; {plugin}/ and letters a-z, digits, \"_\" and \"-\" are allowed"));
    }
    let kind = match property.kind {
        VARPD_UINT if property.min > property.max => {
            return Err(format!("{name}: from {} to {} there is no number", property.min, property.max));
        }
        VARPD_UINT => DeclaredKind::Uint { min: property.min, max: property.max },
        VARPD_IP => DeclaredKind::Ip,
        VARPD_CHOICE => {
            let words = text(property.choices, TEXT_MAX, "its choices")?.unwrap_or_default();
            let words: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
            if words.is_empty() {
                return Err(format!("{name}: it is a choice without words to choose from"));
            }
            DeclaredKind::Choice { words }
        }
        VARPD_TEXT if !(1..=VALUE_MAX).contains(&property.max) => {
            return Err(format!("{name}: it is a text of at most {} bytes; a limit of 1 to {VALUE_MAX} is allowed", property.max));
        }
        VARPD_TEXT => DeclaredKind::Text { max: property.max as usize },
        other => return Err(format!("{name}: its kind is {other}; {VARPD_UINT} to {VARPD_TEXT} are allowed")),
    };
    let default = text(property.default_value, VALUE_MAX as usize, "its default")?;
    let doc = text(property.doc, TEXT_MAX, "its description")?.unwrap_or_default();
    let declared = Declaration { name, kind, required: property.required != 0, default, doc };
    let spec = declared.spec();
    if let Some(Err(error)) = declared.default.as_deref().map(|default| spec.parse(default)) {
        return Err(format!("its default: {error}"));
    }
    Ok(declared)
}

/// A text of the plugin's: none where the pointer is null.
fn text(pointer: *const c_char, most: usize, what: &str) -> Result<Option<String>, String> {
    if pointer.is_null() {
        return Ok(None);
    }
    let bytes = super::calls::bytes_of(pointer, most).ok_or_else(|| format!("{what} has more than {most} bytes"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{what} is no UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(format!("{what} has control characters: {text:?}"));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::raw;
    use std::ffi::{CString, c_int, c_void};
    use std::ptr::null;

    unsafe extern "C" fn create(_: u64, _: *const raw::varpd_overlay, _: *mut *mut c_void, _: *mut c_char, _: usize) -> c_int {
        0
    }
    unsafe extern "C" fn set(_: *mut c_void, _: *const c_char, _: *const c_char, _: *mut c_char, _: usize) -> c_int {
        0
    }
    unsafe extern "C" fn end(_: *mut c_void) {}
    unsafe extern "C" fn lookup(_: *mut c_void, _: u64, _: *const raw::varpd_lookup) -> c_int {
        0
    }

    const ZONE: varpd_property = varpd_property {
        size: size_of::<varpd_property>() as u32,
        kind: VARPD_CHOICE,
        name: c"acme/zone".as_ptr(),
        doc: c"Which.".as_ptr(),
        default_value: c"east".as_ptr(),
        choices: c"east west".as_ptr(),
        min: 0,
        max: 0,
        required: 0,
        zero: 0,
    };

    fn plugin(properties: &[varpd_property]) -> varpd_plugin {
        varpd_plugin {
            size: size_of::<varpd_plugin>() as u32,
            version: VARPD_PLUGIN_VERSION,
            name: c"acme".as_ptr(),
            destinations: VARPD_DESTINATION_IP_PORT,
            property_count: properties.len() as u32,
            properties: properties.as_ptr(),
            create: Some(create),
            set_property: Some(set),
            restore: None,
            start: None,
            stop: None,
            destroy: Some(end),
            lookup: Some(lookup),
            arp: None,
            ndp: None,
            dhcp: None,
            vnic_added: None,
            vnic_removed: None,
            save: None,
        }
    }

    #[test]
    fn what_is_declared_is_what_overlayd_is_told() {
        let (_, info) = read(&plugin(&[ZONE])).unwrap();
        let zone = Declaration {
            name: "acme/zone".to_owned(),
            kind: DeclaredKind::Choice { words: vec!["east".to_owned(), "west".to_owned()] },
            required: false,
            default: Some("east".to_owned()),
            doc: "Which.".to_owned(),
        };
        assert_eq!(info, PluginInfo { name: "acme".parse().unwrap(), with_port: true, without_port: false, properties: vec![zone] });
    }

    #[test]
    fn a_newer_plugin_with_longer_structs_is_read() {
        #[repr(C)]
        struct Longer<T>(T, [u64; 3]);
        let size = size_of::<Longer<varpd_property>>() as u32;
        let longer =
            [Longer(varpd_property { size, ..ZONE }, [!0; 3]), Longer(varpd_property { size, name: c"acme/b".as_ptr(), ..ZONE }, [!0; 3])];
        let size = size_of::<Longer<varpd_plugin>>() as u32;
        let newer = Longer(varpd_plugin { size, property_count: 2, properties: longer.as_ptr().cast(), ..plugin(&[]) }, [!0; 3]);
        let (_, info) = read((&raw const newer).cast()).unwrap();
        assert_eq!(info.properties.iter().map(|property| property.name.as_str()).collect::<Vec<_>>(), ["acme/zone", "acme/b"]);
    }

    #[test]
    fn a_declaration_fits_the_packet_that_it_is_told_in() {
        let names: Vec<_> = (0..32).map(|number| CString::new(format!("acme/p{number}")).unwrap()).collect();
        let value = CString::new("x".repeat(VALUE_MAX as usize)).unwrap();
        let text = |count: usize| -> Vec<varpd_property> {
            let one = |name: &CString| varpd_property {
                kind: VARPD_TEXT,
                max: VALUE_MAX,
                name: name.as_ptr(),
                default_value: value.as_ptr(),
                choices: null(),
                ..ZONE
            };
            names.iter().take(count).map(one).collect()
        };
        assert!(read(&plugin(&text(14))).is_ok());
        let refused = read(&plugin(&text(32))).unwrap_err();
        assert!(
            refused.starts_with("its declaration has 13") && refused.ends_with("bytes as JSON; at most 60000 are allowed"),
            "{refused}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_sentence() {
        let good = plugin(&[]);
        for (bad, why) in [
            (varpd_plugin { version: 0, ..good }, "it speaks version 0 of the plugin interface; version 1 is spoken here"),
            (varpd_plugin { version: 2, size: 8, ..good }, "it speaks version 2 of the plugin interface"),
            (varpd_plugin { size: 100, ..good }, "its struct varpd_plugin says that it has 100 bytes; in version 1 it has 136"),
            (varpd_plugin { size: u32::MAX, ..good }, "later at most 65536"),
            (varpd_plugin { name: null(), ..good }, "it has no name"),
            (varpd_plugin { name: c"Acme".as_ptr(), ..good }, "its name \"Acme\": a module's name begins with a lower-case letter"),
            (varpd_plugin { name: c"\xff".as_ptr(), ..good }, "its name is no UTF-8"),
            (varpd_plugin { destinations: 0, ..good }, "its kinds of destinations are 0x0; 1, 2 or both are allowed"),
            (varpd_plugin { destinations: 7, ..good }, "its kinds of destinations are 0x7"),
            (varpd_plugin { create: None, ..good }, "it has no call create"),
            (varpd_plugin { lookup: None, ..good }, "it has no call lookup"),
            (varpd_plugin { property_count: 1, properties: null(), ..good }, "it declares 1 properties, and they are NULL"),
            (varpd_plugin { property_count: 33, ..good }, "it declares 33 properties; at most 32 are allowed"),
            (varpd_plugin { set_property: None, ..plugin(&[ZONE]) }, "no call set_property"),
        ] {
            let refused = read(&bad).unwrap_err();
            assert!(refused.contains(why), "{why}: {refused}");
        }
        assert!(read(null()).unwrap_err().contains("returned NULL"));
        for (bad, why) in [
            (varpd_property { size: 8, ..ZONE }, "its struct varpd_property number 1 says that it has 8 bytes"),
            (varpd_property { name: c"other/zone".as_ptr(), ..ZONE }, "its name is \"other/zone\"; acme/ and letters"),
            (varpd_property { name: c"acme/".as_ptr(), ..ZONE }, "acme/ and letters"),
            (varpd_property { kind: 5, ..ZONE }, "acme/zone: its kind is 5; 1 to 4 are allowed"),
            (varpd_property { choices: c" ".as_ptr(), ..ZONE }, "a choice without words"),
            (varpd_property { default_value: c"north".as_ptr(), ..ZONE }, "its default: "),
            (varpd_property { doc: c"a\x1b[2J".as_ptr(), ..ZONE }, "its description has control characters"),
            (varpd_property { kind: VARPD_UINT, min: 2, max: 1, ..ZONE }, "from 2 to 1 there is no number"),
            (varpd_property { kind: VARPD_TEXT, max: 0, ..ZONE }, "at most 0 bytes"),
        ] {
            let refused = read(&plugin(&[bad])).unwrap_err();
            assert!(refused.contains(why), "{why}: {refused}");
        }
        assert!(read(&plugin(&[ZONE, ZONE])).unwrap_err().contains("declares property acme/zone twice"));
    }
}
