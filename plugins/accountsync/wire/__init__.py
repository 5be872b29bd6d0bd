"""What is on the wire: HTTP as the configuration declares it, LDAP; answers, errors."""
