"""The language of the house: PaNOSC schema, crosswalks, techniques, units, identifiers, dates.

Pure: data in, data out; nothing here touches the network, a clock or a file but its own data.
"""
