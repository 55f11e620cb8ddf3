"""MACVLAN networks and their endpoints, DHCP leases, dedicated interfaces, addresses in use."""
