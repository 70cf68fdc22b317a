#!/usr/sbin/dtrace -s
/*
 * batches: do batches and GSO save work?
 *
 * USAGE
 *   overlay-trace --tracer dtrace batches [interval [count]]
 *   dtrace -Z -p PID -s batches.d [interval [count]]
 *
 * DESCRIPTION
 *   Asks in D what batches.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing for each batch, message and write, about a microsecond each,
 *   however many packets are in it: the cheapest look at a busy data path.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing batches... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::tx-batch
{
	@sums["tx_batches"] = sum(1);
	@sums["tx_frames"] = sum(arg2);
	@sizes["frames_per_tx_batch"] = quantize(arg2);
}

overlay$target:::tx-message
{
	@sums["tx_messages"] = sum(1);
	@sums["tx_datagrams"] = sum(arg3);
	@sizes["frames_per_message"] = quantize(arg2);
	@sizes["datagrams_per_message"] = quantize(arg3);
}

overlay$target:::rx-batch
{
	@sums["rx_batches"] = sum(1);
	@sums["rx_datagrams"] = sum(arg2);
	@sizes["datagrams_per_rx_batch"] = quantize(arg2);
}

overlay$target:::rx-write
{
	@sums["rx_writes"] = sum(1);
	@sums["rx_frames"] = sum(arg2);
	@sizes["frames_per_write"] = quantize(arg2);
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("%s: %@u\n", @sums);
	printa("%s%@d\n", @sizes);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("%s: %@u\n", @sums);
	printa("%s%@d\n", @sizes);
}
