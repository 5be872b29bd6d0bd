"""The protocols: HTTP as the configuration declares it, and LDAP, with answers and errors."""
