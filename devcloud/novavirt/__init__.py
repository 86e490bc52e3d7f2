"""What nova loads as its hypervisor driver: `nova.virt.nspawn`."""
